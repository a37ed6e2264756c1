"""Bytes in and out of local folders and s3:// alike: atomic puts, conditional puts, ranges, listing, digests.

Nothing here knows what the bytes mean. Every refusal names the place and says what to do.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pipelines import local_files, s3
from pipelines.errors import SSTrackError, UsageError
from pipelines.local_files import There, draft, explained, name_folder, new_file, new_folder
from pipelines.s3 import Object
from pipelines.s3_errors import MissingObject

__all__ = ["MissingObject", "Object", "There", "draft", "explained", "name_folder", "new_file", "new_folder"]

_CHUNK = 8 << 20
_HONOURS = "SSTRACK_S3_HONOURS_CONDITIONS"
"""Environment variable with the stores that were found to honour conditions on writes."""


def is_local(uri: str) -> bool:
    """True for a path or a file:// URI, False for s3://. Raises UsageError for any other scheme."""
    if "://" not in uri or uri.startswith("file://"):
        return True
    if uri.startswith("s3://"):
        return False
    raise UsageError(f"{uri}: {uri.partition('://')[0]}:// is not known here; name a local folder or s3://…")


def local_path(uri: str) -> Path:
    """The path behind a local URI. Raises SSTrackError for a remote one."""
    if not is_local(uri):
        raise SSTrackError(f"{uri} is not a local folder, and this step works on local folders only; name a local one.")
    return Path(uri.removeprefix("file://"))


def join(uri: str, *parts: str) -> str:
    """`uri` with `parts` below it, one slash between each."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def make_folder(uri: str) -> None:
    """Make a local folder with its parents; object stores have none to make."""
    if is_local(uri):
        with explained(uri, "make the folder"):
            local_path(uri).mkdir(parents=True, exist_ok=True)


def write_atomic(uri: str, data: bytes) -> None:
    """Put `data` at `uri`, replacing what is there: readers see the old bytes or the new, never a part."""
    if is_local(uri):
        local_files.write_atomic(local_path(uri), data)
    else:
        s3.put(uri, data)


def put_if_absent(uri: str, data: bytes) -> bool:
    """Put `data` at `uri` unless something is there already. Returns whether this call put it."""
    if is_local(uri):
        return local_files.put_if_absent(local_path(uri), data)
    require_conditions(uri)
    return s3.put(uri, data, {"IfNoneMatch": "*"})


def move_if_absent(finished: Path, uri: str) -> bool:
    """Give a finished local file its final place unless that is taken; it has lost its first name either way.

    On S3 a large file goes up in parallel parts and is visible when all are there. Returns whether this call put it.
    """
    if is_local(uri):
        return local_files.keep_if_absent(finished, local_path(uri))
    require_conditions(uri)
    try:
        return s3.upload_if_absent(finished, uri)
    finally:
        finished.unlink()


def swap(uri: str, expected: bytes | None, data: bytes) -> bool:
    """Replace an object's bytes if they are `expected` (None: if there is none), in one step against other writers.

    Returns whether it holds `data` now. Raises SSTrackError where the store cannot do that.
    """
    if is_local(uri):
        return local_files.swap(local_path(uri), expected, data)
    require_conditions(uri)
    found = s3.get_if_exists(uri)
    if (found[0] if found else None) != expected:
        return False
    condition = {"IfMatch": found[1]} if found else {"IfNoneMatch": "*"}
    # A put whose answer got lost is repeated by the client and then finds its own bytes: that is no lost race.
    return s3.put(uri, data, condition) or read_if_exists(uri) == data


def require_conditions(uri: str) -> None:
    """Raise SSTrackError for an S3 store that ignores conditions on writes.

    Tried once for each bucket, with an object beside `uri` that is deleted again; processes that this one starts later
    take its word for it.
    """
    if is_local(uri):
        return
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS"
    store = f"{endpoint}/{s3.split(uri)[0]}"
    known = os.environ.get(_HONOURS, "").split()
    if store in known:
        return
    if not _honours_conditions(uri):
        raise SSTrackError(
            f"cannot publish to {uri}: the store at {endpoint} ignores conditions on writes (If-None-Match, If-Match), "
            "so two writers could lose each other's work; use a store that honours them, or a local folder that you "
            "copy there when it is done."
        )
    os.environ[_HONOURS] = " ".join([*known, store])


def _honours_conditions(uri: str) -> bool:
    """The object has one name for all who try, so that what a killed process left is taken up by the next one. Another
    one may delete it meanwhile, so a write that should have been refused says little before it was made three times.
    """
    probe = f"{uri.rpartition('/')[0]}/.conditions.probe"
    s3.put(probe, b"1")
    try:
        refused = any(not s3.put(probe, b"2", {"IfNoneMatch": "*"}) for _ in range(3))
        return refused and not s3.put(probe, b"3", {"IfMatch": '"0"'})
    finally:
        s3.delete([probe])


def read_bytes(uri: str) -> bytes:
    """All bytes of one object. Raises SSTrackError where it cannot be read."""
    if not is_local(uri):
        return s3.get(uri)
    with explained(uri, "read"):
        return local_path(uri).read_bytes()


def read_if_exists(uri: str) -> bytes | None:
    """All bytes of one object, None where there is none."""
    if not is_local(uri):
        found = s3.get_if_exists(uri)
        return found[0] if found else None
    with explained(uri, "read"):
        try:
            return local_path(uri).read_bytes()
        except FileNotFoundError:
            return None


def read_range(uri: str, start: int, size: int) -> bytes:
    """`size` bytes from `start` on, fewer where the object ends before."""
    if not is_local(uri):
        return s3.get_range(uri, start, size)
    with explained(uri, "read"), local_path(uri).open("rb") as file:
        file.seek(start)
        return file.read(size)


def size(uri: str) -> int:
    """Bytes of one object."""
    if not is_local(uri):
        return s3.size(uri)
    with explained(uri, "read"):
        return local_path(uri).stat().st_size


def exists(uri: str) -> bool:
    """Whether a file, folder or object is there."""
    return local_path(uri).exists() if is_local(uri) else s3.exists(uri)


def list_objects(uri: str) -> list[Object]:
    """All files at any depth under a folder, sorted by URI; empty where there is no such folder."""
    if not is_local(uri):
        return s3.list_objects(uri)
    with explained(uri, "list"):
        found = (_object(path) for path in sorted(local_path(uri).rglob("*"), key=str))
        return [each for each in found if each is not None]


def _object(path: Path) -> Object | None:
    """None for what is no file, or is gone since it was listed, as others' drafts are."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Object(str(path), status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def list_files(uri: str) -> list[str]:
    """URIs of all files at any depth under a folder, sorted; empty where there is no such folder."""
    return [each.uri for each in list_objects(uri)]


def delete(uris: Iterable[str]) -> None:
    """Delete files or objects; those that are not there are fine."""
    remote = []
    for uri in uris:
        if is_local(uri):
            with explained(uri, "delete"):
                local_path(uri).unlink(missing_ok=True)
        else:
            remote.append(uri)
    if remote:
        s3.delete(remote)


def delete_folder(uri: str) -> None:
    """Delete a folder and all that is in it; one that is not there is fine."""
    if not is_local(uri):
        delete(list_files(uri))
        return
    with explained(uri, "delete"), suppress(FileNotFoundError):
        shutil.rmtree(local_path(uri))


def download(uri: str, path: Path) -> None:
    """Copy an object to a local file, which appears when it is whole and on disk. Large ones come in parallel parts."""
    with new_file(path) as unnamed, unnamed.open("wb") as file:
        if not is_local(uri):
            s3.download(uri, file.fileno())
            return
        with explained(uri, "read"), local_path(uri).open("rb") as source:
            while piece := source.read(_CHUNK):
                with explained(path):
                    file.write(piece)


def sha256_file(uri: str) -> str:
    """Hex sha256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    if is_local(uri):
        with explained(uri, "read"), local_path(uri).open("rb") as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
    else:
        for start in range(0, size(uri), _CHUNK):
            digest.update(s3.get_range(uri, start, _CHUNK))
    return digest.hexdigest()
