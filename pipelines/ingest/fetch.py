"""Videos in object stores: what is there, in which version, and a copy of one in a scratch folder."""

import errno
import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from fsspec.utils import glob_translate

from pipelines import s3, storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.ingest.reject import Transient, Unusable
from pipelines.local_files import explained
from pipelines.s3 import Object
from pipelines.s3_errors import MissingObject

_SPARE = 256 << 20
"""Bytes that a fetch leaves free on the disk."""
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}
"""What this machine's disk says, not the store: trying again helps nobody."""


def require_scheme(uri: str) -> None:
    """Raise UsageError for a scheme that is not read."""
    if not uri.startswith("s3://"):
        raise UsageError(f"{uri} cannot be read: sources are local paths and s3:// URIs.")


def under(uri: str) -> list[Object]:
    """The object `uri` and all objects below it, taken as a folder."""
    named = s3.look_up([uri]) if s3.split(uri)[1] and not uri.endswith("/") else []
    return [*named, *storage.list_objects(uri)]


def matching(pattern: str) -> list[Object]:
    """All objects that a pattern with *, ?, ** and [] names."""
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition("/")[0]
    wanted = re.compile(glob_translate(pattern.removeprefix("s3://")))
    return [each for each in storage.list_objects(fixed) if wanted.match(each.uri.removeprefix("s3://"))]


def look_up(uris: Iterable[str]) -> dict[str, Object]:
    """Those of `uris` that are objects, by URI."""
    return {each.uri: each for each in s3.look_up(uris)}


def version(each: Object) -> str:
    """What names the bytes of an object: its entity tag."""
    return each.tag or f"{each.size}-{each.modified.isoformat()}"


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
