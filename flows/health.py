"""Flow `health`: is all well? A page, and an event for each alarm."""

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
    alarms += [("stuck_run", f"{name} {words}") for name, words in stuck]
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
def stuck_runs(hours: float) -> list[tuple[str, str]]:
    """Runs that are under way for longer than `hours`, or late by as much, with what is to be said of each; this one is
    none of them."""
    now = datetime.now(UTC)
    # what never began is taken by the time at which it should have
    before = {"start_time": {"before_": (now - timedelta(hours=hours)).isoformat()}}
    states = ({"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}, {"name": {"any_": ["Late"]}})
    found: list[tuple[str, str]] = []
    with get_client(sync_client=True) as client:
        for state in states:
            wanted = FlowRunFilter.model_validate({"state": state, **before})
            for run in client.read_flow_runs(flow_run_filter=wanted, limit=200):
                since = run.start_time or run.expected_start_time
                if since is None or str(run.id) == this_run.id:
                    continue
                passed = f"{(now - since).total_seconds() / 3600:.1f} h"
                late = f"has not begun for {passed}: does a worker serve its queue? Else cancel it"
                found.append((run.name, f"is under way for {passed}: cancel it" if run.start_time else late))
    return found
