"""Who may ask. With a token: whoever shows it. Without one: programs and pages of this machine alone.

A browser lets any page that a person visits send requests to loopback; it says in `Origin` which page it was, and in
`Host` the name by which it found the machine, which a foreign page can have pointed here.
"""

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from pipelines.errors import UsageError
from pipelines.serving.refusals import Refusal

SUBPROTOCOL = "sstrack"
"""What a WebSocket client may ask for, and gets; browsers want one of theirs chosen."""
_BEARER = "bearer."


def require_token_beyond_loopback(host: str, token: str) -> None:
    """Raise UsageError for an address that other machines reach, where no token is asked for."""
    if not token and not is_loopback(host):
        raise UsageError(
            f"--host {host} lets other machines in, so callers have to show a token: give one in SSTRACK_TOKEN or "
            "--token, or stay on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone."""
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def require_access(token: str, headers: Mapping[str, str], subprotocols: Sequence[str] = ()) -> None:
    """Raise Refusal for a caller who may not ask.

    Args:
        token: what is asked for; empty where nothing is.
        headers: of the request, by names in lower case.
        subprotocols: what a WebSocket client offers. Browsers' can send no header, and so may hold the token here, as
            `bearer.` and its URL-safe base64 without padding.
    """
    if token:
        if not any(hmac.compare_digest(shown, token.encode()) for shown in _shown(headers, subprotocols)):
            raise Refusal(401, "token", "this server asks for its token: Authorization: Bearer <token>")
        return
    host, origin = headers.get("host", ""), headers.get("origin")
    if not is_loopback(_split(f"//{host}").hostname or ""):
        raise Refusal(403, "origin", f"without a token only this machine may ask, under a name of its own, not {host}")
    if origin is not None and _split(origin).netloc != host:
        raise Refusal(403, "origin", f"without a token pages of {origin} may not ask")


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")  # of no machine


def _shown(headers: Mapping[str, str], subprotocols: Sequence[str]) -> list[bytes]:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    shown = [given.strip().encode("latin-1")] if scheme.lower() == "bearer" else []
    for offered in subprotocols:
        if offered.startswith(_BEARER):
            text = offered.removeprefix(_BEARER)
            try:
                shown.append(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            except (binascii.Error, ValueError):
                continue  # not a token, and so not the token
    return shown
