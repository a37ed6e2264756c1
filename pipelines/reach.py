"""Whether the machines of a cluster see the places that work is about to use."""

import socket
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from pipelines.errors import UsageError
from pipelines.settings import settings


def require_reachable(places: Mapping[str, str], machines: Iterable[str]) -> None:
    """Raise UsageError for places that only this machine sees, where the cluster has others.

    Args:
        places: what each is for, and its path or URI.
        machines: IP addresses of the cluster's machines.
    """
    if settings().shared_folders:
        return
    elsewhere = sorted({machine for machine in machines if not is_here(machine)})
    ours = [f"the {what} {uri}" for what, uri in places.items() if is_ours_alone(uri)]
    if elsewhere and ours:
        raise UsageError(
            f"the cluster's machine {elsewhere[0]} does not see {' and '.join(ours)} of this machine: name s3:// "
            "places, and an MLflow server by its address; or, if every machine of the cluster sees the same folders "
            "under the same paths, set SSTRACK_SHARED_FOLDERS=true"
        )


def is_ours_alone(uri: str) -> bool:
    """Whether a path or URI means something else, or nothing, on another machine."""
    parts = urlsplit(uri)
    if not parts.scheme or parts.scheme in ("file", "sqlite"):
        return True
    return parts.hostname in ("localhost", "127.0.0.1", "::1")


def is_here(machine: str) -> bool:
    """Whether an IP address is one of this machine's: only those can be bound."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in machine else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((machine, 0))
    except OSError:
        return False
    return True
