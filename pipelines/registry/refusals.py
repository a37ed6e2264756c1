"""What MLflow's errors mean to whoever asked: no login, no permission, no answer; each in one sentence."""

from mlflow.exceptions import MlflowException

from pipelines.registry.addresses import server_of
from pipelines.settings import settings

_UNREACHED = "failed with exception"
"""In the message of a request that got no answer at all; the error's own kind is the same as that of others."""


def in_words(error: BaseException) -> str | None:
    """One sentence on an MLflow server that refuses or does not answer; None for any other error."""
    if not isinstance(error, MlflowException):
        return None
    uri = settings().mlflow_uri
    server = f"MLflow at {server_of(uri)}"
    if error.error_code == "UNAUTHENTICATED":
        return f"{server} knows no such user or password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if error.error_code == "PERMISSION_DENIED":
        return f"{server} does not let this user do that: {_first_line(error)}; ask its administrator for the right"
    if uri.startswith(("http://", "https://")) and _UNREACHED in str(error):
        return f"{server} does not answer; is it running, and is SSTRACK_MLFLOW_URI right?"
    return None


def _first_line(error: MlflowException) -> str:
    return (str(error).splitlines() or ["permission denied"])[0][:200]
