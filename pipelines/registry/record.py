"""Train, and keep the training as the one MLflow run of its run key."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.place import place
from pipelines.registry.runs import TrainingRun, registry_client
from pipelines.settings import settings
from pipelines.training.job import data_digest, run_key
from pipelines.training.launch import TrainResult, open_datasets, resolve_recipe, train
from pipelines.training.metrics import read_metrics
from pipelines.training.options import train_options
from pipelines.training.submit import train_as_job
from sstrack.recipes import Recipe, as_dict

log = logging.getLogger(__name__)

RECORDED = "sstrack.recorded"
"""Tag that says that parameters and metrics of the whole run are logged."""


def train_and_record(
    uri: str,
    datasets: Sequence[str],
    recipe: str,
    overrides: Mapping[str, Any],
    runs: str,
    *,
    manifest: str | None = None,
    weights: Sequence[float] = (),
    workers: int | str | None = None,
    options: Mapping[str, Any] | None = None,
    cluster: str = "local",
    expected_key: str = "",
    progress: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """Find or do the training, and record it once.

    Args:
        uri: MLflow store.
        datasets: the dataset's folder, or several to be mixed.
        recipe: a recipe's name.
        overrides: dotted field to value.
        runs: folder of runs.
        manifest: digest to train on, for a single dataset; the newest when None.
        weights: shares of several datasets; all alike by default.
        workers: Ray Train workers, a number or a range; 0 for none; when None, `SSTRACK_WORKERS`, but at most one per
            group.
        options: fields of `TrainOptions`.
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
    opened = open_datasets(datasets, manifest, weights)
    key = run_key(config, data_digest(opened))
    if expected_key not in ("", key):
        raise SSTrackError(
            f"this is run {key} here and {expected_key} where it was asked for: the sstrack, the initial weights or "
            "the dataset here are of another version"
        )
    if place(cluster).kind == "job" and not storage.exists(storage.join(runs, key, "result.json")):
        call = {"uri": uri, "datasets": list(datasets), "recipe": recipe, "overrides": dict(overrides), "runs": runs}
        call |= {"manifest": opened[0].manifest if len(opened) == 1 else None, "weights": list(weights)}
        call |= {"workers": workers, "options": dict(options or {})}
        places = {"folder of runs": runs, "MLflow store": uri} | {
            f"dataset {n}": each for n, each in enumerate(datasets, 1)
        }
        return train_as_job(cluster, key, call, places, progress)
    count = min(settings().workers, config.data.groups) if workers is None else workers
    log.info("train: %s with %s workers", key, count)
    result = train(
        opened,
        config,
        runs,
        workers=count,
        options=train_options(options or {}),
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
    return {**result.as_dict(), "run_id": _record(uri, config, result)}


def _record(uri: str, config: Recipe, result: TrainResult) -> str:
    run = TrainingRun.find_or_create(registry_client(uri), uri, result.run_key)
    if run.tags.get(RECORDED) != "true":
        run.log_params(dict(_flat(as_dict(config))))
        for each in result.datasets:
            run.log_dataset(each["uri"], each["manifest"])
        run.set_tags({"sstrack.manifest": result.manifest})
        for row in read_metrics(result.package.rpartition("/")[0]):
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
