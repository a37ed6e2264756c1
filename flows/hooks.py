"""What happens around flow runs. Prefect calls hooks by keyword, so their arguments' names are fixed."""

import logging
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun, State
from prefect.runtime import flow_run as this_run

log = logging.getLogger(__name__)

_ADDRESS, _KEY = "sstrack.job_address", "sstrack.run_key"


def remember_job(address: str, key: str) -> None:
    """Label the running flow run, and the one that it is a part of, with the job that it is about to submit.

    What a hook could work out later is another job where the dataset's HEAD moved meanwhile.
    """
    with get_client(sync_client=True) as client:
        for run_id in {this_run.id, this_run.root_flow_run_id} - {None}:
            client.update_flow_run_labels(UUID(str(run_id)), {_ADDRESS: address, _KEY: key})


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
