"""Flow `health`: is all well? A page, an event for each alarm, and a failed run where there is one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.client.schemas.filters import FlowRunFilter
from prefect.runtime import flow_run as this_run
from prefect.states import Completed

from flows import artifacts, events
from flows.logs import show_our_logs
from flows.parameters import AbsoluteUri
from pipelines.health.limits import HealthLimits
from pipelines.settings import settings


@flow(name="health", validate_parameters=True)
def health(dataset: AbsoluteUri | None = None, limits: HealthLimits | None = None) -> State[dict[str, Any]]:
    """Champion's age, clips not trained on, drift of the new ones, broken and quarantined videos, stuck runs.

    Completes whatever is found: each alarm is an event `sstrack.health.alarm`, which notifications go out on.

    Args:
        dataset: the dataset's folder, default `SSTRACK_DATASET`.
        limits: where a finding becomes an alarm.
    """
    show_our_logs()
    within = limits or HealthLimits()
    found = look(dataset or settings().dataset, within)
    stuck = stuck_runs(within.stuck_hours)
    alarms = [(alarm["name"], alarm["sentence"]) for alarm in found["alarms"]]
    alarms += [("stuck_run", f"{name} is under way for {hours:.1f} h: cancel it") for name, hours in stuck]
    artifacts.health([f"{name}: {sentence}" for name, sentence in alarms], found["lines"])
    for name, sentence in alarms:
        events.health_alarm(name, sentence)
    message = f"{len(alarms)} alarms: {', '.join(name for name, _ in alarms)}" if alarms else "all is well"
    return Completed(message=message, data={**found, "stuck": stuck})


@task(name="look", retries=0)
def look(dataset: str, limits: HealthLimits) -> dict[str, Any]:
    """The health of dataset and champion as a dictionary, with its `lines`."""
    from pipelines.health.check import check_health
    from pipelines.health.text import health_lines

    here = settings()
    found = check_health(dataset, here.mlflow_uri, here.model_name, limits)
    return {**found.as_dict(), "lines": health_lines(found)}


@task(name="stuck runs", retries=0)
def stuck_runs(hours: float) -> list[tuple[str, float]]:
    """Runs that are under way for longer than `hours`, or should be and never began, with their hours; this one is none
    of them."""
    now = datetime.now(UTC)
    wanted = {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}
    before = {"expected_start_time": {"before_": (now - timedelta(hours=hours)).isoformat()}}
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({**wanted, **before}), limit=200)
    since = [(run, run.start_time or run.expected_start_time) for run in runs if str(run.id) != this_run.id]
    under_way = [(run.name, (now - at).total_seconds() / 3600) for run, at in since if at is not None]
    return [(name, passed) for name, passed in under_way if passed >= hours]
