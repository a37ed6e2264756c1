"""Train, and keep the training as the one MLflow run of its run key, from before its first step on."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlflow.exceptions import MlflowException

from pipelines.errors import SSTrackError
from pipelines.place import place
from pipelines.registry.live import LiveRecord
from pipelines.registry.names import DATA, MANIFEST
from pipelines.registry.origin import origin_tags
from pipelines.registry.runs import DatasetUse, TrainingRun, registry_client
from pipelines.training.metrics import read_metrics
from pipelines.training.result import TrainResult, find_result
from pipelines.training.spec import TrainingSpec
from pipelines.trainings.callbacks import OnProgress, Opened, Submits
from pipelines.trainings.find import find_training
from pipelines.trainings.submit import train_as_job
from sstrack.configs.recipe import as_dict, without_paths

log = logging.getLogger(__name__)

RECORDED = "sstrack.recorded"
"""Tag that says that parameters and metrics of the whole run are logged."""
ERROR = "sstrack.error"
"""Tag with the first sentence of what ended a run that failed."""


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
    progress: OnProgress,
    tags: Mapping[str, str] | None = None,
    opened: Opened | None = None,
    submits: Submits | None = None,
) -> dict[str, Any]:
    """Find or do the training, and record it once, while it goes on: `sstrack train DATASET` is this call.

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
        submits: called before a job is submitted, where the training is done by one.

    Returns:
        The training's result with `run_id`, the id of its MLflow run.

    Raises:
        UsageError: unknown recipe or field.
        SSTrackError: as `launch` does; if MLflow holds two runs of the key; or if it did not take the whole record of a
            training that is done, which the same call then completes.
    """
    how = {"manifest": manifest, "weights": weights, "workers": workers, "options": options}
    spec = find_training(datasets, recipe, overrides, runs, **how)
    key, done = spec.run_key, find_result(spec.folder)
    if expected_key not in ("", key):
        raise SSTrackError(
            f"this is run {key} here and {expected_key} where it was asked for: the sstrack, the initial weights or "
            "the dataset here are of another version"
        )
    if done is None and place(cluster).kind == "job":
        call = {"uri": uri, "datasets": list(datasets), "recipe": recipe, "overrides": dict(overrides), "runs": runs}
        call |= {"manifest": spec.manifests if len(datasets) == 1 else None, "weights": list(weights)}
        call |= {"workers": workers, "options": dict(options or {}), "tags": dict(tags or {})}
        places = {"folder of runs": runs, "MLflow store": uri}
        places |= {f"dataset {number}": each for number, each in enumerate(datasets, 1)}
        return train_as_job(cluster, key, call, places, progress, opened, submits)

    def tell(run_id: str | None) -> None:
        if run_id is not None and opened is not None:
            opened(run_id, TrainingRun(registry_client(uri), run_id).url(uri))

    log.info("train: %s with %s workers", key, spec.workers)
    if done is not None and (recorded := _recorded(uri, key)) is not None:
        _say(done)
        tell(recorded)
        return {**done.as_dict(), "run_id": recorded}
    record = LiveRecord(uri, lambda: _open(uri, spec, dict(tags or {})), lambda run: _send_files(run, spec.folder))
    known: str | None = None
    if done is None:

        def begin() -> None:
            nonlocal known
            known = record.start()
            tell(known)

        done = _launch(spec, cluster, record, begin, progress)
    _say(done)
    run_id = record.finish("FINISHED", {RECORDED: "true"}, read_metrics(spec.folder))
    if known is None:
        tell(run_id)
    return {**done.as_dict(), "run_id": run_id}


def _launch(
    spec: TrainingSpec, cluster: str, record: LiveRecord, begin: Callable[[], None], progress: OnProgress
) -> TrainResult:
    """Do the training; each row of its metrics goes into the record, and so does how it ends early."""
    # Only here: a training that is found needs neither torch nor Ray.
    from pipelines.training.launch import launch

    begun = False

    def begins() -> None:
        nonlocal begun
        begun = True
        begin()

    def follow(row: dict[str, float]) -> None:
        record.add(row)
        progress(row, spec.recipe.optim.steps)

    try:
        return launch(spec, cluster, begins=begins, progress=follow)
    except BaseException as error:
        if begun:
            _end(record, error)
        raise


def _say(result: TrainResult) -> None:
    log.info(
        "train: %s, %d steps, loss %.2f to %.2f",
        "found done" if result.found else "done",
        result.steps,
        result.loss_start,
        result.loss_end,
    )


def _open(uri: str, spec: TrainingSpec, tags: Mapping[str, str]) -> TrainingRun:
    """The run of the key with all that is known before the first step; what is there from an earlier start stays.

    Raises SSTrackError if there are two, or if it was logged with other parameters.
    """
    run = TrainingRun.find_or_create(registry_client(uri), uri, spec.run_key)
    try:
        run.log_params(dict(_flat(as_dict(without_paths(spec.recipe)))))
    except ValueError as error:
        raise SSTrackError(
            f"MLflow at {uri}: {error}; delete that run, or give this training another folder"
        ) from error
    run.log_datasets([DatasetUse(each.uri, each.manifest, each.weight) for each in spec.datasets])
    made_of = {MANIFEST: spec.manifests, DATA: spec.identity.data_digest}
    run.set_tags({**made_of, RECORDED: "false", **origin_tags(spec.recipe.seed), **tags})
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
    stopped = not isinstance(error, Exception)  # Ctrl-C, Ray Train's sys.exit for it, a scheduler's signal
    tags = {} if stopped else {ERROR: (str(error).strip() or type(error).__name__).splitlines()[0][:500]}
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
