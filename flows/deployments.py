"""Parameters of our deployments, as somebody set them on the server's pages: a deploy would empty them."""

from collections.abc import Mapping
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.schedules import OURS


def read_parameters(api_url: str) -> dict[str, dict[str, Any]]:
    """By deployment, those with our tag. Raises httpx.HTTPError where the server does not answer."""
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        return {one.name: one.parameters for one in client.read_deployments(deployment_filter=OURS)}


def keep_parameters(api_url: str, given: Mapping[str, Mapping[str, Any]]) -> None:
    """Give deployments the parameters named by deployment again, beside those of the file that they come from, as far
    as their flows still have them."""
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        for one in client.read_deployments(deployment_filter=OURS):
            known = (one.parameter_openapi_schema or {}).get("properties", {})
            before = {name: value for name, value in given.get(one.name, {}).items() if name in known}
            wanted = {**one.parameters, **before}
            if wanted != one.parameters:
                client.update_deployment(one.id, DeploymentUpdate(parameters=wanted))
