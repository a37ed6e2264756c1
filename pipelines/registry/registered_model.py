"""The registered model itself in MLflow: its tags and aliases, which is nothing where it was never registered."""

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

_MISSING = "RESOURCE_DOES_NOT_EXIST"


def find_registered(client: MlflowClient, name: str) -> RegisteredModel | None:
    """The registered model, None where there is none."""
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != _MISSING:
            raise
        return None


def ensure_registered(client: MlflowClient, name: str) -> None:
    """Make the registered model unless it is there."""
    if find_registered(client, name) is None:
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def aliases_of(client: MlflowClient, name: str) -> dict[str, str]:
    """Alias to version."""
    found = find_registered(client, name)
    return {alias: str(version) for alias, version in found.aliases.items()} if found else {}


def tags_of(client: MlflowClient, name: str) -> dict[str, str]:
    """Tags of the registered model."""
    found = find_registered(client, name)
    return dict(found.tags) if found else {}


def version_tags(client: MlflowClient, name: str, version: str) -> dict[str, str] | None:
    """Tags of a version, None where there is none."""
    try:
        return dict(client.get_model_version(name, version).tags)
    except MlflowException as error:
        if error.error_code != _MISSING:
            raise
        return None
