"""What happens around flow runs. Prefect calls hooks by keyword, so their arguments' names are fixed."""

import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun, State
from prefect.client.schemas.filters import FlowRunFilter
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelled, Crashed

from pipelines.settings import settings

log = logging.getLogger(__name__)

ACTIVE = ("RUNNING", "PENDING", "CANCELLING")
"""Types of state in which a flow run is under way."""

_ADDRESS, _KEY, _RECORD = "sstrack.job_address", "sstrack.run_key", "sstrack.mlflow_run"


def remember_job(address: str, key: str) -> None:
    """Label the running flow run, and the one that it is a part of, with the job that it is about to submit.

    What a hook could work out later is another job where the dataset's HEAD moved meanwhile.
    """
    _label({_ADDRESS: address, _KEY: key})


def remember_record(run_id: str) -> None:
    """Label the same flow runs with the MLflow run of the training that they do."""
    _label({_RECORD: run_id})


def _label(labels: dict[str, Any]) -> None:
    with get_client(sync_client=True) as client:
        for run_id in {this_run.id, this_run.root_flow_run_id} - {None}:
            client.update_flow_run_labels(UUID(str(run_id)), labels)


def end_record(flow: Any, flow_run: FlowRun, state: State) -> None:
    """Mark the MLflow run of a flow run that was cancelled or crashed as killed, where it still reads RUNNING: the
    process that would have done so is gone. The training's next start takes the same run up again."""
    with get_client(sync_client=True) as client:
        labels = client.read_flow_run(flow_run.id).labels
    end_abandoned(labels, settings().mlflow_uri)


def end_abandoned(labels: Mapping[str, Any], mlflow_uri: str) -> None:
    """Mark the MLflow run that a flow run's labels name, if they name one, as killed if it reads RUNNING."""
    run_id = labels.get(_RECORD)
    if run_id is None:
        return
    from pipelines.registry.runs import TrainingRun, registry_client

    if TrainingRun(registry_client(mlflow_uri), str(run_id)).abandon():
        log.info("MLflow run %s is marked as killed", run_id)


def end_subflows(flow: Any, flow_run: FlowRun, state: State) -> None:
    """Give the subflows of a flow run that was cancelled or crashed its own state, where they still read as under way:
    they ran in its process, which may have been killed before it could tell."""
    asked = {"parent_flow_run_id": {"any_": [flow_run.id]}, "state": {"type": {"any_": list(ACTIVE)}}}
    kind = Crashed if state.is_crashed() else Cancelled  # a run that is cancelled may still read Cancelling
    with get_client(sync_client=True) as client:
        for each in client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(asked)):
            ended = kind(message=f"its parent {flow_run.name} has ended")
            client.set_flow_run_state(each.id, ended, force=True)
            log.info("subflow %s is marked as %s", each.name, ended.name)


def stop_submitted_job(flow: Any, flow_run: FlowRun, state: State) -> None:
    """Stop the Ray job that a cancelled flow run submitted. The run's own process does that as it ends; this is for
    the case that it was killed before it could."""
    with get_client(sync_client=True) as client:
        labels = client.read_flow_run(flow_run.id).labels
    if _KEY not in labels:
        log.info("this run had submitted no job")
        return
    from pipelines.trainings.submit import stop_job

    stopped = stop_job(str(labels[_ADDRESS]), str(labels[_KEY]))
    log.info("job %s stopped" if stopped else "the job of %s was not running any more", stopped or labels[_KEY])
