"""Schedules of our deployments: off until somebody switches them on, and as they were after a new deploy."""

from collections.abc import Container
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter
from prefect.settings import PREFECT_API_URL, temporary_settings

TAG = "sstrack"
OURS = DeploymentFilter.model_validate({"tags": {"all_": [TAG]}})
"""Deployments of this repository."""


@dataclass(frozen=True)
class Schedule:
    """One schedule of one deployment, as the server has it."""

    deployment: str
    slug: str
    active: bool
    deployment_id: UUID
    schedule_id: UUID


def read_schedules(api_url: str) -> list[Schedule]:
    """Schedules of all deployments with our tag. Raises httpx.HTTPError where the server does not answer."""
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        return _read(client)


def switch_schedules(api_url: str, on: bool | dict[tuple[str, str], bool]) -> list[Schedule]:
    """Switch all schedules on or off, or those named by deployment and slug each as said; the schedules afterwards."""
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        for one in _read(client):
            wanted = on if isinstance(on, bool) else on.get((one.deployment, one.slug), one.active)
            if wanted != one.active:
                client.update_deployment_schedule(one.deployment_id, one.schedule_id, active=wanted)
        return _read(client)


def keep_schedules(api_url: str, named: Container[tuple[str, str]]) -> None:
    """Remove every schedule with a slug that is not among those named by deployment and slug: a deploy leaves what was
    taken out of its file. Those that people made on a server's pages have no slug, and stay."""
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        for one in _read(client):
            if one.slug and (one.deployment, one.slug) not in named:
                client.delete_deployment_schedule(one.deployment_id, one.schedule_id)


def _read(client: SyncPrefectClient) -> list[Schedule]:
    return [
        Schedule(deployment.name, schedule.slug or "", bool(schedule.active), deployment.id, schedule.id)
        for deployment in client.read_deployments(deployment_filter=OURS)
        for schedule in client.read_deployment_schedules(deployment.id)
    ]
