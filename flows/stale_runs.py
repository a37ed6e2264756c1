"""Flow runs whose process is gone, but which the server still believes to run: each holds a slot for ever."""

from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import FlowRunFilter
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed

from flows.hooks import ACTIVE, end_abandoned

_PAGE = 200


def settle_stale_runs(api_url: str, mlflow_uri: str, why: str) -> list[str]:
    """Mark every run that is under way as crashed because of `why`, subflows too, and their MLflow runs as killed; only
    for a server none of whose workers runs. Runs that are scheduled stay: a worker takes them when there is one.

    Args:
        api_url: address of the server's API.
        mlflow_uri: the store with the records of their trainings.
        why: the state's message.

    Returns the names of the runs. Raises httpx.HTTPError where the server does not answer.
    """
    settled: list[str] = []
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        while runs := client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": list(ACTIVE)}}}), limit=_PAGE
        ):
            for run in runs:
                client.set_flow_run_state(run.id, Crashed(message=why), force=True)
                end_abandoned(run.labels, mlflow_uri)
            settled += [_name(run) for run in runs]
    return settled


def _name(run: FlowRun) -> str:
    return f"{run.name} ({run.id})"
