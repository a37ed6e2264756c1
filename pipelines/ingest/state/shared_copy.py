"""The copy of a remote video on this machine's disk that all its workers read their parts from, fetched once."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from pipelines.local_files import explained

_STALE_S = 3600.0
"""On a cluster no run clears other machines' disks, so whoever comes next removes copies not used for so long."""


def keep(copy: Path, scratch: Path, source_id: str) -> None:
    """Let the workers of this machine find `copy`, which lies in `scratch`, by the video's id."""
    copy.replace(_place(scratch, source_id))


def shared_copy(scratch: Path, source_id: str, fetch: Callable[[], Path]) -> Path:
    """The kept copy, or what `fetch` gives, kept; of several workers that miss it one fetches while the others wait."""
    place = _place(scratch, source_id)
    with explained(place):
        scratch.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(_lock(place), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not place.exists():
            _remove_stale(scratch)
            keep(fetch(), scratch, source_id)
        os.utime(place)
    finally:
        os.close(descriptor)
    return place


def drop(scratch: Path, source_id: str) -> None:
    """Remove this machine's copy, whose parts are all done."""
    place = _place(scratch, source_id)
    place.unlink(missing_ok=True)
    _lock(place).unlink(missing_ok=True)


def _remove_stale(scratch: Path) -> None:
    for path in scratch.glob("fetched.*"):
        if path.suffix != ".lock" and path.stat().st_mtime < time.time() - _STALE_S:
            path.unlink(missing_ok=True)


def _place(scratch: Path, source_id: str) -> Path:
    return scratch / f"fetched.{source_id}"


def _lock(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")
