"""Who may ask a server, by token, name and origin."""

import pytest

from pipelines.errors import UsageError
from pipelines.serving.access import is_loopback, require_access, require_token_beyond_loopback
from pipelines.serving.refusals import Refusal


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    require_token_beyond_loopback(host, "")


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", "127.0.0.1.nip.io"]
)
def test_other_addresses_do(host: str) -> None:
    with pytest.raises(UsageError, match="SSTRACK_TOKEN"):
        require_token_beyond_loopback(host, "")
    require_token_beyond_loopback(host, "token")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"host": "localhost:8000"}, True),
        ({"host": "[::1]:8000", "origin": "http://[::1]:8000"}, True),
        ({"host": "localhost:8000", "origin": "http://localhost:9000"}, False),
        ({"host": "localhost:8000", "origin": "https://evil.example"}, False),
        ({"host": "evil.example:8000"}, False),
        ({"host": "evil@localhost"}, True),
        ({"host": ""}, False),
        ({"host": "[::1"}, False),
        ({"host": "localhost", "origin": "http://[localhost"}, False),
        ({}, False),
    ],
)
def test_without_a_token_names_and_pages_of_this_machine_alone(headers: dict[str, str], allowed: bool) -> None:
    if allowed:
        require_access("", headers)
        return
    with pytest.raises(Refusal) as refused:
        require_access("", headers)
    assert refused.value.status == 403


def test_a_token_is_taken_from_header_or_subprotocol_and_nowhere_else() -> None:
    require_access("ä secret", {"authorization": "bearer " + "ä secret".encode().decode("latin-1")})
    require_access("secret", {"origin": "https://any.example"}, ["sstrack", "bearer.c2VjcmV0"])
    for headers, offered in (
        ({}, []),
        ({"authorization": "Basic secret"}, []),
        ({"authorization": "secret"}, []),
        ({"host": "localhost"}, ["bearer.", "bearer.secret", "c2VjcmV0", "bearer.ä"]),
    ):
        with pytest.raises(Refusal) as refused:
            require_access("secret", headers, offered)
        assert refused.value.status == 401
