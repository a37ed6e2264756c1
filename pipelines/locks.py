"""One worker at a time in a local folder. The kernel drops the lock with its holder, so a killed one leaves nothing."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import SSTrackError
from pipelines.local_files import explained


@contextmanager
def work_lock(folder: Path, what: str, doing: str = "") -> Iterator[None]:
    """Hold `folder` for `what` ("ingest", say) while the block runs; the folder is made if need be.

    Works that exclude each other share a `what`, and `doing` tells them apart in messages.

    Raises SSTrackError at once, naming the holder's pid, where another process (or thread) holds it.
    """
    path = folder / f".{what}.lock"
    with explained(folder, f"{what} into"):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _take(path, folder, doing or what)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _take(path: Path, folder: Path, doing: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder, _, theirs = os.pread(descriptor, 64, 0).decode(errors="replace").strip().partition(" ")
            os.close(descriptor)
            raise SSTrackError(
                f"another sstrack {theirs or doing} (pid {holder or 'unknown'}) is using {folder}; wait for it or "
                "choose another folder."
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        if _still_named(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {doing}\n".encode(), 0)
            return descriptor
        os.close(descriptor)  # the last holder removed this file between our open and our lock


def _still_named(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
