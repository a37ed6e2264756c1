"""From what somebody asks for, in plain words and values, to the one training that this is. Knows no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.dataset.dataset import Dataset
from pipelines.dataset.manifest import load_manifest
from pipelines.errors import UsageError
from pipelines.settings import settings
from pipelines.training.initial_weights import settle_weights
from pipelines.training.options import train_options
from pipelines.training.spec import TrainingSpec, settle
from sstrack.configs.recipe import Recipe
from sstrack.recipes import recipe as recipe_named


def find_training(
    datasets: Sequence[str],
    recipe: str,
    overrides: Mapping[str, Any],
    runs: str,
    *,
    manifest: str | None = None,
    weights: Sequence[float] = (),
    workers: int | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> TrainingSpec:
    """The training that `train_and_record` does for the same arguments. Raises as it does where they are wrong."""
    config = resolve_recipe(recipe, overrides)
    opened = open_datasets(datasets, manifest, weights)
    count = min(settings().workers, config.data.groups) if workers is None else workers
    return settle(opened, config, runs, count, train_options(options or {}))


def resolve_recipe(name: str, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe with its overrides, its initial weights on this machine; UsageError names what is wrong."""
    return settle_weights(known_recipe(name, overrides), settings().work / "weights")


def known_recipe(name: str, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe with its overrides; UsageError names what is wrong."""
    try:
        return recipe_named(name, overrides)
    except ValueError as error:
        raise UsageError(str(error)) from error


def open_datasets(uris: Sequence[str], manifest: str | None = None, weights: Sequence[float] = ()) -> list[Dataset]:
    """Datasets at fixed manifests.

    Args:
        uris: one folder, or several to be mixed.
        manifest: digest, for a single dataset; None takes the newest of each.
        weights: share of the samples from each, relative to each other; all alike by default.

    Raises UsageError for weights that do not fit, SSTrackError for a dataset that is missing or damaged.
    """
    if not uris:
        raise UsageError("name a dataset to train on")
    if manifest is not None and len(uris) > 1:
        raise UsageError("a manifest goes with one dataset, and several are named; name them without it")
    if weights and len(weights) != len(uris):
        raise UsageError(f"{len(weights)} weights for {len(uris)} datasets: give one for each, in their order, or none")
    wrong = [weight for weight in weights if not 0 < weight < float("inf")]
    if wrong:
        raise UsageError(f"weight {wrong[0]}: must be above 0")
    shares = weights or [1.0] * len(uris)
    described = [load_manifest(uri, manifest) for uri in uris]
    return [
        Dataset(uri, each.digest, share, content=each.data_digest)
        for uri, each, share in zip(uris, described, shares, strict=True)
    ]
