"""Train, and keep the training as the one MLflow run of its run key."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines import storage
from pipelines.dataset.manifest import load_manifest
from pipelines.errors import SSTrackError
from pipelines.place import place
from pipelines.registry.runs import TrainingRun, registry_client
from pipelines.settings import settings
from pipelines.training.launch import TrainResult, resolve_recipe, run_key, train
from pipelines.training.metrics import read_metrics
from pipelines.training.submit import train_as_job
from sstrack.recipes import Recipe, as_dict

log = logging.getLogger(__name__)

RECORDED = "sstrack.recorded"
"""Tag that says that parameters and metrics of the whole run are logged."""


def train_and_record(
    uri: str,
    dataset: str,
    recipe: str,
    overrides: Mapping[str, Any],
    runs: str,
    *,
    manifest: str | None,
    workers: int | None,
    cluster: str = "local",
    expected_key: str = "",
    progress: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """Find or do the training, and record it once.

    Args:
        uri: MLflow store.
        dataset: the dataset's folder.
        recipe: a recipe's name.
        overrides: dotted field to value.
        runs: folder of runs.
        manifest: digest to train on, the newest when None.
        workers: Ray Train workers, 0 for none; when None, `SSTRACK_WORKERS`, but at most one per group.
        cluster: Ray to train on: "local", "auto" or "host:port"; or "job", to have the same done there.
        expected_key: the run key that somebody else found for the same; another one is refused.
        progress: called with steps done, all steps, and the loss in words.

    Returns:
        The training's result with `run_id`, the id of its MLflow run.

    Raises:
        UsageError: unknown recipe or field.
        SSTrackError: as `train` does.
    """
    config = resolve_recipe(recipe, overrides)
    digest = load_manifest(dataset, manifest).digest
    key = run_key(config, digest)
    if expected_key not in ("", key):
        raise SSTrackError(
            f"this is run {key} here and {expected_key} where it was asked for: the sstrack, the initial weights or "
            "the dataset here are of another version"
        )
    if place(cluster).kind == "job" and not storage.exists(storage.join(runs, key, "result.json")):
        call = {"uri": uri, "dataset": dataset, "recipe": recipe, "overrides": dict(overrides), "runs": runs}
        call |= {"manifest": digest, "workers": workers}
        places = {"dataset": dataset, "folder of runs": runs, "MLflow store": uri}
        return train_as_job(cluster, key, call, places, progress)
    count = min(settings().workers, config.data.groups) if workers is None else workers
    log.info("train: %s with %d workers", run_key(config, digest), count)
    result = train(
        dataset,
        config,
        runs,
        manifest=digest,
        workers=count,
        cluster=cluster,
        progress=lambda row: progress(int(row["step"]), config.optim.steps, f"loss {row['loss']:.2f}"),
    )
    log.info(
        "train: %s, %d steps, loss %.2f to %.2f",
        "found done" if result.found else "done",
        result.steps,
        result.loss_start,
        result.loss_end,
    )
    return {**result.as_dict(), "run_id": _record(uri, dataset, config, result)}


def _record(uri: str, dataset: str, config: Recipe, result: TrainResult) -> str:
    run = TrainingRun.find_or_create(registry_client(uri), uri, result.run_key)
    if run.tags.get(RECORDED) != "true":
        run.log_params(dict(_flat(as_dict(config))))
        run.log_dataset(dataset, result.manifest)
        for row in read_metrics(Path(result.package).parent):
            run.log_metrics({name: value for name, value in row.items() if name != "step"}, int(row["step"]))
        run.finish()
        run.set_tags({RECORDED: "true"})
    return run.run_id


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested sections as dotted names."""
    rows: list[tuple[str, Any]] = []
    for name, value in tree.items():
        rows += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
    return rows
