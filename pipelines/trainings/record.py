"""Train, and keep the training as the one MLflow run of its run key, from before its first step on."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlflow.exceptions import MlflowException

from pipelines import storage
from pipelines.dataset.dataset import Dataset
from pipelines.errors import SSTrackError
from pipelines.place import place
from pipelines.registry.live import LiveRecord
from pipelines.registry.origin import origin_tags
from pipelines.registry.runs import DatasetUse, TrainingRun, registry_client
from pipelines.settings import settings
from pipelines.training.job import data_digest, run_key
from pipelines.training.launch import TrainResult, open_datasets, resolve_recipe, train
from pipelines.training.metrics import read_metrics
from pipelines.training.options import train_options
from pipelines.trainings.submit import train_as_job
from sstrack.configs.recipe import Recipe, as_dict, without_paths

log = logging.getLogger(__name__)

RECORDED = "sstrack.recorded"
"""Tag that says that parameters and metrics of the whole run are logged."""
ERROR = "sstrack.error"
"""Tag with the first sentence of what ended a run that failed."""

Progress = Callable[[Mapping[str, float], int], None]
"""Called with a row of metrics, `step` in it, and the number of all steps."""
Opened = Callable[[str, str | None], None]
"""Called with the id of the MLflow run when it is open, and its page where MLflow is a server."""


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
    progress: Progress,
    tags: Mapping[str, str] | None = None,
    opened: Opened | None = None,
) -> dict[str, Any]:
    """Find or do the training, and record it once, while it goes on.

    A missing or slow MLflow neither ends nor slows a training: its record waits.

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
        progress: called with each row of metrics and the number of all steps.
        tags: further tags of the MLflow run: whoever asked for the training, say.
        opened: called once the MLflow run is known, before the first step if MLflow answers.

    Returns:
        The training's result with `run_id`, the id of its MLflow run.

    Raises:
        UsageError: unknown recipe or field.
        SSTrackError: as `train` does; if MLflow holds two runs of the key; or if it did not take the whole record of a
            training that is done, which the same call then completes.
    """
    config = resolve_recipe(recipe, overrides)
    data = open_datasets(datasets, manifest, weights)
    count = min(settings().workers, config.data.groups) if workers is None else workers
    chosen = train_options(options or {})
    held = [replace(each, held_out=config.validation.share) for each in data]
    key = run_key(config, data_digest(held))
    folder = storage.join(runs, key)
    if expected_key not in ("", key):
        raise SSTrackError(
            f"this is run {key} here and {expected_key} where it was asked for: the sstrack, the initial weights or "
            "the dataset here are of another version"
        )
    if place(cluster).kind == "job" and not storage.exists(storage.join(folder, "result.json")):
        call = {"uri": uri, "datasets": list(datasets), "recipe": recipe, "overrides": dict(overrides), "runs": runs}
        call |= {"manifest": data[0].manifest if len(data) == 1 else None, "weights": list(weights)}
        call |= {"workers": workers, "options": dict(options or {}), "tags": dict(tags or {})}
        places = {"folder of runs": runs, "MLflow store": uri}
        places |= {f"dataset {number}": each for number, each in enumerate(datasets, 1)}
        return train_as_job(cluster, key, call, places, progress, opened)
    log.info("train: %s with %s workers", key, count)
    record = LiveRecord(
        uri, lambda: _open(uri, key, config, data, dict(tags or {})), lambda run: _send_files(run, folder)
    )

    def tell(run_id: str | None) -> None:
        if run_id is not None and opened is not None:
            opened(run_id, TrainingRun(registry_client(uri), run_id).url(uri))

    def follow(row: dict[str, float]) -> None:
        record.add(row)
        progress(row, config.optim.steps)

    done = storage.exists(storage.join(folder, "result.json"))
    if done and (recorded := _recorded(uri, key)) is not None:
        result = train(data, config, runs, workers=count, options=chosen, cluster=cluster)
        _say(result)
        tell(recorded)
        return {**result.as_dict(), "run_id": recorded}
    known: str | None = None
    begun = False

    def begin() -> None:
        nonlocal known, begun
        begun = True
        known = record.start()
        tell(known)

    try:
        result = train(
            data, config, runs, workers=count, options=chosen, cluster=cluster, begins=begin, progress=follow
        )
    except BaseException as error:
        if begun:
            _end(record, error)
        raise
    _say(result)
    run_id = record.finish("FINISHED", {RECORDED: "true"}, read_metrics(folder))
    if known is None:
        tell(run_id)
    return {**result.as_dict(), "run_id": run_id}


def _say(result: TrainResult) -> None:
    log.info(
        "train: %s, %d steps, loss %.2f to %.2f",
        "found done" if result.found else "done",
        result.steps,
        result.loss_start,
        result.loss_end,
    )


def _open(uri: str, key: str, config: Recipe, data: Sequence[Dataset], tags: Mapping[str, str]) -> TrainingRun:
    """The run of the key with all that is known before the first step; what is there from an earlier start stays.

    Raises SSTrackError if there are two, or if it was logged with other parameters.
    """
    run = TrainingRun.find_or_create(registry_client(uri), uri, key)
    try:
        run.log_params(dict(_flat(as_dict(without_paths(config)))))
    except ValueError as error:
        raise SSTrackError(
            f"MLflow at {uri}: {error}; delete that run, or give this training another folder"
        ) from error
    run.log_datasets([DatasetUse(each.uri, each.manifest, each.weight) for each in data])
    run.set_tags({"sstrack.manifest": data_digest(data), RECORDED: "false", **origin_tags(config.seed), **tags})
    run.drop_tag(ERROR)
    run.begin()
    return run


def _send_files(run: TrainingRun, folder: str) -> None:
    for name in ("views", "profile"):
        run.log_files(folder, name)


def _recorded(uri: str, key: str) -> str | None:
    """The id of the key's run, if it holds the whole record."""
    try:
        run = TrainingRun.find_or_create(registry_client(uri), uri, key)
        return run.run_id if run.tags.get(RECORDED) == "true" else None
    except MlflowException as error:
        raise SSTrackError(
            f"MLflow at {uri} does not answer: {str(error).splitlines()[0]}; start it, or check SSTRACK_MLFLOW_URI"
        ) from error


def _end(record: LiveRecord, error: BaseException) -> None:
    """Say in the record how a training ended early; what MLflow does not take then is a warning."""
    stopped = isinstance(error, KeyboardInterrupt | SystemExit)  # Ray Train turns Ctrl-C into sys.exit
    tags = {} if stopped else {ERROR: f"{error or type(error).__name__}".splitlines()[0][:500]}
    try:
        record.finish("KILLED" if stopped else "FAILED", tags, patience=5.0)
    except SSTrackError as trouble:
        log.warning("%s", trouble)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested sections as dotted names."""
    rows: list[tuple[str, Any]] = []
    for name, value in tree.items():
        rows += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
    return rows
