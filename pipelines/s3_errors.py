"""What an S3 store's refusals mean, and one sentence for each that says what to do."""

from typing import Any

from pipelines.errors import SSTrackError

_DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden"}
_BAD_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "TokenRefreshRequired", "AuthFailure"}
_MISSING = {"NoSuchKey", "404", "NotFound"}
_LOST = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504"}


class MissingObject(SSTrackError):
    """There is no such object."""


def code_of(error: BaseException) -> str:
    """The store's error code; empty where the store did not answer."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def is_missing(error: BaseException) -> bool:
    """Whether the store says that there is no such object (the bucket exists)."""
    return code_of(error) in _MISSING


def is_lost_race(error: BaseException) -> bool:
    """Whether a condition did not hold: another writer was first."""
    return code_of(error) in _LOST


def is_broken_answer(error: BaseException) -> bool:
    """Whether an answer ended early or stalled: asking again may help."""
    return isinstance(error, OSError | EOFError) or type(error).__name__ in (
        "ClientPayloadError",
        "ConnectionClosedError",
        "HTTPClientError",
        "IncompleteReadError",
        "ReadTimeoutError",
        "ResponseStreamingError",
    )


def refusal(uri: str, doing: str, error: BaseException) -> SSTrackError:
    """The error to raise for a failed request about `uri`."""
    code, name = code_of(error), type(error).__name__
    bucket = uri.removeprefix("s3://").partition("/")[0]
    if code == "NoSuchBucket":
        return SSTrackError(
            f"cannot {doing} {uri}: there is no bucket {bucket} at this endpoint; make it, or check AWS_ENDPOINT_URL."
        )
    if code in _MISSING:
        return MissingObject(f"cannot {doing} {uri}: there is no such object; check the address.")
    if code in _DENIED:
        return SSTrackError(
            f"cannot {doing} {uri}: the store denies it to these keys ({code}); ask for the permission, or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that have it."
        )
    if code in _BAD_KEYS:
        return SSTrackError(
            f"cannot {doing} {uri}: the store does not know these keys ({code}); check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_ENDPOINT_URL."
        )
    if code == "ExpiredToken":
        return SSTrackError(f"cannot {doing} {uri}: the AWS session has expired; log in again and run this again.")
    if code in _BUSY:
        return SSTrackError(
            f"cannot {doing} {uri}: the store kept failing ({code}) after all retries; run the same command again "
            "later, what is finished is kept."
        )
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        return SSTrackError(
            f"cannot {doing} {uri}: no keys for S3 were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE."
        )
    if name in ("ConnectTimeoutError", "ReadTimeoutError", "TimeoutError", "FSTimeoutError"):
        return SSTrackError(
            f"cannot {doing} {uri}: the store did not answer in time; check AWS_ENDPOINT_URL and the network, then run "
            "the same command again."
        )
    if name in ("EndpointConnectionError", "ConnectionError", "ConnectionClosedError", "HTTPClientError"):
        return SSTrackError(
            f"cannot {doing} {uri}: no connection to the store ({error}); check AWS_ENDPOINT_URL and the network, then "
            "run the same command again."
        )
    detail = f"{code}: {error}" if code else f"{name}: {error}"
    return SSTrackError(f"cannot {doing} {uri} ({detail}); solve that and run the same command again.")
