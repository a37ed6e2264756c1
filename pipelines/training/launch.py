"""Find or do one training run: in this process, or as a Ray Train job with one process per worker.

The run's key is made of recipe, dataset and configuration, so asking again returns the finished run, and asking after a
crash goes on from the newest checkpoint.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines import storage
from pipelines.dataset.manifest import load_manifest
from pipelines.dataset.samples import require_groups, require_labels
from pipelines.errors import UsageError
from pipelines.locks import work_lock
from pipelines.settings import settings
from pipelines.training.initial_weights import settle_weights
from pipelines.training.metrics import read_metrics
from sstrack.recipes import Recipe, config_digest
from sstrack.recipes import recipe as recipe_named

Progress = Callable[[dict[str, float]], None]
"""Called with each new row of metrics; `step` is in it."""


@dataclass(frozen=True)
class TrainResult:
    """A finished run."""

    run_key: str
    recipe: str
    manifest: str
    package: str
    """Folder of the trained model package."""
    untrained: str
    """Folder of the package of the same network before its first step."""
    steps: int
    loss_start: float
    """Mean loss over the first row of metrics."""
    loss_end: float
    """Mean loss over the last row of metrics."""
    seconds: float
    """Time this run trained, over all its attempts' last one."""
    found: bool
    """Whether it was already done."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def resolve_recipe(name: str, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe with its overrides, its initial weights on this machine; UsageError names what is wrong."""
    try:
        named = recipe_named(name, overrides)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return settle_weights(named, settings().work / "weights")


def run_key(recipe: Recipe, manifest: str) -> str:
    """`{recipe}-{data8}-{config8}`: the one name of this training everywhere."""
    return f"{recipe.name}-{manifest[:8]}-{config_digest(recipe)[:8]}"


def train(
    dataset: str,
    recipe: Recipe,
    out: str,
    *,
    manifest: str | None = None,
    workers: int = 2,
    cluster: str = "local",
    progress: Progress | None = None,
) -> TrainResult:
    """Train `recipe` on a dataset and leave a model package, or find that this was done.

    Args:
        dataset: dataset folder.
        recipe: the whole configuration.
        out: folder of runs; this one goes into `<out>/<run key>`.
        manifest: digest to train on; None takes the newest.
        workers: Ray Train workers; 0 trains in this process without Ray, with the same result for the same recipe.
        cluster: Ray that the workers run on: "local" for a private one, "auto" or "host:port" for one that is joined.
        progress: called with each row of metrics.

    Raises SSTrackError for a missing dataset, too few clips, or a run that fails; UsageError for more workers than
    groups, as each worker needs a group.
    """
    digest = load_manifest(dataset, manifest).digest
    recipe = settle_weights(recipe, settings().work / "weights")
    if workers > recipe.data.groups:
        raise UsageError(
            f"{workers} workers for {recipe.data.groups} groups: each worker needs a group of its own, so use at most "
            f"--workers {recipe.data.groups}, or --set data.groups={workers}"
        )
    key = run_key(recipe, digest)
    folder = Path(out) / key
    result = folder / "result.json"
    if result.is_file():
        return TrainResult(**{**json.loads(result.read_text()), "found": True})
    require_groups(dataset, digest, recipe.data.group_size, recipe.data.groups)
    if recipe.objective.name == "supervised" and recipe.objective.unlabelled == "skip":
        require_labels(dataset, digest)
    # Only here: a run that is found needs neither torch nor Ray.
    from pipelines.training.fit import fit

    with work_lock(folder, "train"):
        started = time.monotonic()
        fit(dataset, digest, recipe, folder, key, workers, cluster, progress)
        rows = read_metrics(folder)
        done = TrainResult(
            run_key=key,
            recipe=recipe.name,
            manifest=digest,
            package=str(folder / "package"),
            untrained=str(folder / "untrained"),
            steps=recipe.optim.steps,
            loss_start=rows[0]["loss"],
            loss_end=rows[-1]["loss"],
            seconds=time.monotonic() - started,
            found=False,
        )
        # Last of all: its presence says that the run is whole.
        storage.write_atomic(str(result), json.dumps(done.as_dict(), indent=1).encode())
    return done
