"""What each refusal of a store is told as. The words are a contract: they say what to do next."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from pipelines.errors import SSTrackError
from pipelines.s3_errors import MissingObject, code_of, is_broken_answer, is_lost_race, is_missing, refusal

URI = "s3://bucket/folder/name"
PLACE = {"endpoint_url": "http://127.0.0.1:1"}


def said(code: str) -> ClientError:
    """As the client raises what a store says."""
    return ClientError({"Error": {"Code": code, "Message": "as it pleases"}}, "GetObject")


SENTENCES = {
    "NoSuchBucket": "there is no bucket bucket at this endpoint; make it, or check AWS_ENDPOINT_URL",
    **dict.fromkeys(("NoSuchKey", "404", "NotFound"), "there is no such object; check the address"),
    **dict.fromkeys(
        ("AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden"), "the store denies it to these keys"
    ),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "TokenRefreshRequired", "AuthFailure"),
        "the store does not know these keys",
    ),
    "ExpiredToken": "the AWS session has expired; log in again",
    **dict.fromkeys(
        ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504"),
        "the store kept failing",
    ),
    "EntityTooLarge": "solve that and run the same command again",
}
ANSWERLESS = [
    (NoCredentialsError(), "no keys for S3 were found; set AWS_ACCESS_KEY_ID"),
    (PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "no keys for S3 were found"),
    (ConnectTimeoutError(**PLACE), "did not answer in time"),
    (ReadTimeoutError(**PLACE), "did not answer in time"),
    (TimeoutError(), "did not answer in time"),
    (EndpointConnectionError(**PLACE), "no connection to the store"),
    (HTTPClientError(error="reset"), "no connection to the store"),
    (ConnectionError("reset"), "no connection to the store"),
    (ValueError("Invalid endpoint: no address"), "ValueError: Invalid endpoint: no address"),
]


@pytest.mark.parametrize(("code", "words"), SENTENCES.items())
def test_a_store_that_refuses_is_told_in_one_sentence(code: str, words: str) -> None:
    error = refusal(URI, "read", said(code))
    text = str(error)
    assert text.startswith(f"cannot read {URI}") and words in text and "\n" not in text and text.endswith(".")
    assert isinstance(error, MissingObject) == (code in ("NoSuchKey", "404", "NotFound"))


@pytest.mark.parametrize("code", [code for code in SENTENCES if "keys" in SENTENCES[code] or "kept" in SENTENCES[code]])
def test_the_stores_own_code_is_in_the_sentence(code: str) -> None:
    assert f"({code})" in str(refusal(URI, "read", said(code)))


@pytest.mark.parametrize(("raised", "words"), ANSWERLESS, ids=lambda value: type(value).__name__)
def test_a_store_that_does_not_answer_is_told_in_one_sentence(raised: Exception, words: str) -> None:
    error = refusal(URI, "write", raised)
    assert type(error) is SSTrackError and code_of(raised) == ""
    assert str(error).startswith(f"cannot write {URI}") and words in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("code", [*SENTENCES, "PreconditionFailed", "412", "ConditionalRequestConflict", "409"])
def test_missing_and_lost_races_are_told_apart_from_all_else(code: str) -> None:
    error = said(code)
    assert code_of(error) == code
    assert is_missing(error) == (code in ("NoSuchKey", "404", "NotFound"))  # not a missing bucket
    assert is_lost_race(error) == (code not in SENTENCES)
    assert not is_broken_answer(error)  # the store said no; asking again changes nothing


@pytest.mark.parametrize(
    ("raised", "broken"),
    [
        (ReadTimeoutError(**PLACE), True),
        (HTTPClientError(error="reset"), True),
        (ResponseStreamingError(error="short"), True),
        (ConnectionResetError(), True),
        (EOFError(), True),
        (NoCredentialsError(), False),
        (ValueError("no"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_answer_that_ended_early_may_be_asked_for_again(raised: Exception, broken: bool) -> None:
    assert is_broken_answer(raised) == broken
