"""What happens around flow runs. Prefect calls hooks by keyword, so their arguments' names are fixed."""

import logging
from typing import Any

from prefect.client.schemas import FlowRun, State

from pipelines.place import place
from pipelines.settings import settings

log = logging.getLogger(__name__)


def stop_submitted_job(flow: Any, flow_run: FlowRun, state: State) -> None:
    """Stop the Ray job of a cancelled training. The run's own process does that as it ends; this is for the case that
    it was killed before it could."""
    given, here = flow_run.parameters, settings()
    cluster = given.get("cluster") or here.cluster
    if place(cluster).kind != "job":
        return
    from pipelines.trainings.submit import stop_training

    datasets = given.get("mixture") or {given.get("dataset") or here.dataset: 1.0}
    stopped = stop_training(
        cluster,
        list(datasets),
        given.get("recipe") or "tiny_cpu",
        given.get("overrides") or {},
        given.get("manifest"),
        list(datasets.values()),
    )
    log.info("job %s stopped" if stopped else "no job of this training was running%s", stopped or "")
