"""One MLflow run per training, found again by its run key."""

import logging
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.registry.actor import current_user
from pipelines.registry.addresses import run_page
from pipelines.registry.moved import ARTIFACTS
from pipelines.registry.sqlite_store import SQLITE, make_sqlite_store

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from mlflow.entities import Run

EXPERIMENT = "sstrack"
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",  # else MLflow 3 opens on the pages for language models
    "mlflow.note.content": "Trainings of the SSTrack tracker: one run per data and recipe, one model per run, scores "
    "by benchmark and rule. `sstrack models list` shows the same.",
}
RUN_KEY = "sstrack.run_key"
_REPORTS = "reports"
_SOURCE = "sstrack train"
_METRICS_PER_CALL = 1000
_PARAMS_PER_CALL = 100


def registry_client(uri: str) -> MlflowClient:
    """A client of the tracking and registry store at `uri`; a SQLite store is made if there is none."""
    if uri.startswith(SQLITE):
        make_sqlite_store(Path(uri.removeprefix(SQLITE)))
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(client: MlflowClient, uri: str) -> str:
    """The id of our experiment, made on first use. A SQLite store keeps artifacts in a folder beside its file."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        for key in set(EXPERIMENT_TAGS) - set(found.tags):  # made by an older version of ours
            client.set_experiment_tag(found.experiment_id, key, EXPERIMENT_TAGS[key])
        return found.experiment_id
    location = None
    if uri.startswith(SQLITE):
        location = (Path(uri.removeprefix(SQLITE)).parent / ARTIFACTS).as_uri()
    try:
        return client.create_experiment(EXPERIMENT, artifact_location=location, tags=dict(EXPERIMENT_TAGS))
    except MlflowException as error:
        found = client.get_experiment_by_name(EXPERIMENT)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
            raise
        return found.experiment_id  # made by another process since we looked


@dataclass(frozen=True)
class DatasetUse:
    """One dataset of a training."""

    uri: str
    manifest: str
    weight: float = 1.0
    """Its share of a mixture, in any unit."""


class TrainingRun:
    """The one run of a run key: parameters once, metrics in batches, the datasets as its inputs."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._pending: list[Metric] = []
        self._logged: dict[str, set[int]] = {}
        self.run_id = run_id

    @classmethod
    def find_or_create(cls, client: MlflowClient, uri: str, run_key: str) -> "TrainingRun":
        """The run tagged with `run_key`, made when there is none. SSTrackError when the store holds two."""
        experiment = experiment_id(client, uri)
        runs = find_runs(client, experiment, run_key)
        if len(runs) > 1:
            ids = ", ".join(run.info.run_id for run in runs)
            raise SSTrackError(f"MLflow holds {len(runs)} runs for {run_key} ({ids}); delete all but one")
        if runs:
            return cls(client, runs[0].info.run_id)
        tags = {RUN_KEY: run_key, "mlflow.user": current_user(), "mlflow.source.name": _SOURCE}
        created = client.create_run(experiment, run_name=run_key, tags={**tags, "mlflow.source.type": "LOCAL"})
        return cls(client, created.info.run_id)

    def abandon(self) -> bool:
        """Mark the run as killed if it reads RUNNING, on behalf of a process that is gone; whether it did. A store that
        does not know the run is another one than that process had."""
        try:
            status = self._client.get_run(self.run_id).info.status
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            log.warning("MLflow has no run %s: it is in another store", self.run_id)
            return False
        if status != "RUNNING":
            return False
        self._client.set_terminated(self.run_id, "KILLED")
        return True

    def url(self, uri: str) -> str | None:
        """The run's page, where `uri` is a server's."""
        return run_page(uri, self._client.get_run(self.run_id).info.experiment_id, self.run_id)

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the run as they are now."""
        return dict(self._client.get_run(self.run_id).data.tags)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters that are not there yet. ValueError when one has another value: a run key fixes them."""
        there = self._client.get_run(self.run_id).data.params
        texts = {name: str(value)[:6000] for name, value in params.items()}
        changed = sorted(name for name, value in texts.items() if there.get(name, value) != value)
        if changed:
            raise ValueError(f"run {self.run_id} was logged with other values of {', '.join(changed)}")
        new = [Param(name, value) for name, value in texts.items() if name not in there]
        for start in range(0, len(new), _PARAMS_PER_CALL):
            self._client.log_batch(self.run_id, params=new[start : start + _PARAMS_PER_CALL])

    def log_metrics(self, metrics: Mapping[str, float], step: int, at: float | None = None) -> None:
        """Queue numbers of one step, measured `at` (seconds since 1970, default now); they are sent when a batch is
        full, and by `flush`."""
        milliseconds = int((time.time() if at is None else at) * 1000)
        self._pending += [Metric(name, float(value), milliseconds, step) for name, value in metrics.items()]
        if len(self._pending) >= _METRICS_PER_CALL:
            self.flush()

    def flush(self) -> None:
        """Send what is queued, but for steps that are there already: MLflow would keep both.

        After a failure all of it stays queued, and what did arrive is found by its steps the next time.
        """
        try:
            for name in {metric.key for metric in self._pending} - set(self._logged):
                history = self._client.get_metric_history(self.run_id, name)
                self._logged[name] = {metric.step for metric in history}
            waiting = {(metric.key, metric.step): metric for metric in reversed(self._pending)}  # the first of each
            new = [metric for (key, step), metric in reversed(waiting.items()) if step not in self._logged[key]]
            for start in range(0, len(new), _METRICS_PER_CALL):
                self._client.log_batch(self.run_id, metrics=new[start : start + _METRICS_PER_CALL])
        except BaseException:
            self._logged = {}
            raise
        for metric in new:
            self._logged[metric.key].add(metric.step)
        self._pending = []

    def log_datasets(self, uses: Sequence[DatasetUse]) -> None:
        """Name the datasets the run is trained on; logging the same manifests again changes nothing."""
        inputs = self._client.get_run(self.run_id).inputs
        known = {given.dataset.digest for given in inputs.dataset_inputs} if inputs else set()
        new = [use for use in uses if use.manifest[:36] not in known]
        if new:
            self._client.log_inputs(self.run_id, [_input(use) for use in new])

    def log_files(self, folder: str, name: str) -> None:
        """Keep the files of `<folder>/<name>`, local or s3://, as artifacts under `name`, but for those that are."""
        there = {Path(info.path).name for info in self._client.list_artifacts(self.run_id, name)}
        for uri in storage.list_files(storage.join(folder, name)):
            if (file := uri.rpartition("/")[2]) in there or file.startswith("."):
                continue
            with tempfile.TemporaryDirectory() as scratch:
                local = storage.local_path(uri) if storage.is_local(uri) else Path(scratch) / file
                if not storage.is_local(uri):
                    storage.download(uri, local)
                self._client.log_artifact(self.run_id, str(local), name)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, replacing those of the same name."""
        self._client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def drop_tag(self, name: str) -> None:
        """Remove a tag if it is there."""
        if name in self.tags:
            self._client.delete_tag(self.run_id, name)

    def begin(self) -> None:
        """Mark the run as running, again where it ended before."""
        self._client.update_run(self.run_id, status=RunStatus.to_string(RunStatus.RUNNING))

    def finish(self, status: str = "FINISHED") -> None:
        """Send what is queued and mark the run `FINISHED`, `FAILED` or `KILLED`."""
        self.flush()
        self._client.set_terminated(self.run_id, status)


def log_page(uri: str, run_id: str, page: Path, pictures: Sequence[Path] = ()) -> list[str]:
    """Keep an HTML page and pictures that go with it among a run's artifacts; given again, they are replaced.

    Returns their paths there, the page's first.
    """
    client = registry_client(uri)
    for path in (page, *pictures):
        client.log_artifact(run_id, str(path), _REPORTS)
    return [f"{_REPORTS}/{path.name}" for path in (page, *pictures)]


def _input(use: DatasetUse) -> DatasetInput:
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset

    with warnings.catch_warnings():
        # A path is a local artifact to MLflow in two ways that are the same one.
        warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted in multiple ways")
        source = resolve_dataset_source(use.uri)
    # MLflow keeps 36 characters of a digest; the whole one is in the tag.
    described = MetaDataset(source, name="sstrack-dataset", digest=use.manifest[:36]).to_dict()
    entity = DatasetEntity(**{name: described[name] for name in ("name", "digest", "source_type", "source")})
    tags = [InputTag("mlflow.data.context", "training"), InputTag("sstrack.weight", f"{use.weight:g}")]
    return DatasetInput(entity, tags)


def find_runs(client: MlflowClient, experiment: str, run_key: str) -> "list[Run]":
    """All runs that carry the run key: none or one."""
    return list(client.search_runs([experiment], filter_string=f"tags.`{RUN_KEY}` = '{run_key}'"))
