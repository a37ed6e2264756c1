"""A copy of a stored video in a scratch folder of this machine."""

import errno
import hashlib
import shutil
from pathlib import Path, PurePosixPath

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.ingest.reject import Transient, Unusable
from pipelines.local_files import explained
from pipelines.s3_errors import MissingObject

_SPARE = 256 << 20
"""Bytes that a fetch leaves free on the disk."""
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}
"""What this machine's disk says, not the store: trying again helps nobody."""


def fetch(uri: str, size: int, folder: Path, limit: int) -> tuple[Path, str, int]:
    """Copy an object into `folder`; returns the copy, the hex sha256 of its bytes and their number.

    Raises Unusable for an object of more than `limit` bytes and one that is gone, Transient where the store fails,
    SSTrackError where the disk is too small for it. Nothing is left in `folder` then.
    """
    require_room(folder, size, uri, limit)
    copy = folder / ("fetched" + PurePosixPath(uri).suffix[:16])
    try:
        storage.download(uri, copy)
    except MissingObject as error:
        raise Unusable("fetch", "missing", "it was there when the run began and is gone") from error
    except SSTrackError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _DISK:
            raise
        raise Transient(str(error)) from error
    with copy.open("rb") as file:
        return copy, hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def require_room(folder: Path, size: int, uri: str, limit: int) -> None:
    """Make `folder` for a copy of `size` bytes.

    Raises Unusable for more than `limit` bytes, SSTrackError where the disk is too small for it.
    """
    if size > limit:
        raise Unusable("fetch", "file_too_large", f"{size} bytes; a fetched copy may have {limit}")
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    if free < size + _SPARE:
        raise SSTrackError(
            f"no space left to fetch {uri}: {size} bytes, {free} free in {folder}: free some space and run the same "
            "command again; what is finished is kept."
        )
