"""Find or do one training run: in this process, or as a Ray Train job with one process per worker.

The run's key is made of recipe, dataset and configuration, so asking again returns the finished run, and asking after a
crash goes on from the newest checkpoint.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipelines import storage
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.manifest import load_manifest
from pipelines.errors import UsageError
from pipelines.locks import work_lock
from pipelines.settings import settings
from pipelines.training.initial_weights import settle_weights
from pipelines.training.job import TrainJob, data_digest, run_key
from pipelines.training.metrics import read_metrics
from pipelines.training.options import TrainOptions, worker_range
from sstrack.configs.recipe import Recipe
from sstrack.recipes import recipe as recipe_named

Progress = Callable[[dict[str, float]], None]
"""Called with each new row of metrics; `step` is in it."""


@dataclass(frozen=True)
class TrainResult:
    """A finished run."""

    run_key: str
    recipe: str
    manifest: str
    """Digest of the data: a dataset's manifest, or of a mixture's manifests and weights."""
    datasets: list[dict[str, Any]]
    """URI, manifest and weight of each."""
    package: str
    """Folder of the trained model package, local or on s3://."""
    untrained: str
    """Folder of the package of the same network before its first step."""
    steps: int
    """Steps done: fewer than the recipe's where validation ended it."""
    loss_start: float
    """Mean loss over the first row of metrics."""
    loss_end: float
    """Mean loss over the last row of metrics."""
    seconds: float
    """Time this run trained, over all its attempts' last one."""
    found: bool
    """Whether it was already done."""
    template_lead: float | None = None
    """Overlap with the right template less that with a black or foreign one, on real frames at the end."""
    warning: str = ""
    """What is wrong with the model, if something is known."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def resolve_recipe(name: str, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe with its overrides, its initial weights on this machine; UsageError names what is wrong."""
    try:
        named = recipe_named(name, overrides)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return settle_weights(named, settings().work / "weights")


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
    return [Dataset(uri, load_manifest(uri, manifest).digest, share) for uri, share in zip(uris, shares, strict=True)]


def train(
    datasets: Sequence[Dataset],
    recipe: Recipe,
    out: str,
    *,
    workers: int | str = 0,
    options: TrainOptions | None = None,
    cluster: str = "local",
    begins: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Train `recipe` and leave a model package, or find that this was done.

    Args:
        datasets: what to train on, see `open_datasets`.
        recipe: the whole configuration.
        out: folder of runs, local or on s3://; this one goes into `<out>/<run key>`.
        workers: Ray Train workers: a number, or a range like "2-8"; 0 trains in this process without Ray, with the same
            result for the same recipe.
        options: how it runs, what is kept.
        cluster: the Ray cluster that workers run on: "local" for a private one, "auto" or "host:port" for one that is
            joined.
        begins: called when nothing stands against the training any more, before its first step.
        progress: called with each row of metrics.

    Raises SSTrackError for a missing dataset, too few clips, or a run that fails; UsageError for workers or options
    that do not fit the recipe. Both before anything starts, where it can be known.
    """
    recipe = settle_weights(recipe, settings().work / "weights")
    held = tuple(replace(each, held_out=recipe.validation.share) for each in datasets)
    digest = data_digest(held)
    key = run_key(recipe, digest)
    folder = storage.join(out, key)
    result = storage.join(folder, "result.json")
    if (found := storage.read_if_exists(result)) is not None:
        return TrainResult(**{**json.loads(found), "found": True})
    job = TrainJob(held, recipe, folder, key, worker_range(workers), options or TrainOptions())
    # Only here: a run that is found needs neither torch nor Ray.
    from pipelines.training.fit import fit, template_facts
    from pipelines.training.preflight import require_workable

    require_workable(job)
    with _alone(folder):
        if begins is not None:
            begins()
        started = time.monotonic()
        fit(job, cluster, progress)
        rows = read_metrics(folder)
        done = TrainResult(
            run_key=key,
            recipe=recipe.name,
            manifest=digest,
            datasets=[{"uri": each.uri, "manifest": each.manifest, "weight": each.weight} for each in held],
            package=storage.join(folder, "package"),
            untrained=storage.join(folder, "untrained"),
            steps=int(rows[-1]["step"]),
            loss_start=rows[0]["loss"],
            loss_end=rows[-1]["loss"],
            seconds=time.monotonic() - started,
            found=False,
            **template_facts(folder),
        )
        # Last of all: its presence says that the run is whole.
        storage.write_atomic(result, json.dumps(done.as_dict(), indent=1).encode())
    return done


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """One training at a time in a local folder. Two in the same folder of a store write the same bytes."""
    if not storage.is_local(folder):
        yield
        return
    with work_lock(storage.local_path(folder), "train"):
        yield
