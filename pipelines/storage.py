"""Bytes in and out of local folders and s3:// alike: atomic puts, puts that never overwrite, listing, digests.

Nothing here knows what the bytes mean. Every failed write on the way says which place refused and what to do.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

from pipelines.errors import SSTrackError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
_CHUNK = 1 << 20


def is_local(uri: str) -> bool:
    """True for a path or a file:// URI, False for a store reached through another scheme."""
    return "://" not in uri or uri.startswith("file://")


def local_path(uri: str) -> Path:
    """The path behind a local URI. Raises SSTrackError for a remote one."""
    if not is_local(uri):
        raise SSTrackError(f"{uri} is not a local folder, and this step works on local folders only; name a local one.")
    return Path(uri.removeprefix("file://"))


def join(uri: str, *parts: str) -> str:
    """`uri` with `parts` below it, one slash between each."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


@contextmanager
def explained(uri: str | Path, doing: str = "write") -> Iterator[None]:
    """Turn an OSError about `uri` into an SSTrackError that says what to do; other exceptions pass."""
    try:
        yield
    except OSError as error:
        raise SSTrackError(_explain(str(uri), doing, error)) from error


def _explain(uri: str, doing: str, error: OSError) -> str:
    if error.errno in _FULL:
        return (
            f"no space left to {doing} {uri} ({error.strerror}): free some space and run the same command again; "
            "what is finished is kept."
        )
    if error.errno in _REFUSED:
        return f"cannot {doing} {uri} ({error.strerror}): get the permission or choose another folder."
    if error.errno in _NOT_A_FOLDER:
        return f"cannot {doing} {uri}: a file stands where a folder is needed ({error.strerror}); choose another path."
    if isinstance(error, FileNotFoundError):
        return f"cannot {doing} {uri}: there is no such file or folder; check the path."
    return f"cannot {doing} {uri} ({error.strerror or error}): solve that and run the same command again."


def make_folder(uri: str) -> None:
    """Make a local folder with its parents; object stores have none to make."""
    if is_local(uri):
        with explained(uri, "make the folder"):
            local_path(uri).mkdir(parents=True, exist_ok=True)


def write_atomic(uri: str, data: bytes) -> None:
    """Put `data` at `uri`, replacing what is there: readers see the old bytes or the new, never a part."""
    if not is_local(uri):
        with explained(uri):
            filesystem, key = fsspec.core.url_to_fs(uri)
            filesystem.pipe_file(key, data)
        return
    path = local_path(uri)
    make_folder(str(path.parent))
    temporary = _write_beside(path, data)
    with explained(uri):
        temporary.replace(path)
        sync_folder(path.parent)


def put_if_absent(uri: str, data: bytes) -> bool:
    """Put `data` at `uri` unless something is there already. Returns whether this call put it."""
    if not is_local(uri):
        filesystem, key = fsspec.core.url_to_fs(uri)
        with explained(uri):
            try:
                filesystem.pipe_file(key, data, mode="create")
            except FileExistsError:
                return False
        return True
    path = local_path(uri)
    make_folder(str(path.parent))
    if path.exists():
        return False
    return keep_if_absent(_write_beside(path, data), path)


def keep_if_absent(temporary: Path, path: Path) -> bool:
    """Give a finished, synced local file its final name unless that is taken; the temporary name is gone either way."""
    with explained(path):
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        sync_folder(path.parent)
    return True


def _write_beside(path: Path, data: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with explained(path), temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def sync_folder(folder: Path) -> None:
    """Make the names in a local folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bytes(uri: str) -> bytes:
    """All bytes of one object. Raises SSTrackError where it cannot be read."""
    with explained(uri, "read"):
        if is_local(uri):
            return local_path(uri).read_bytes()
        filesystem, key = fsspec.core.url_to_fs(uri)
        return filesystem.cat_file(key)


def exists(uri: str) -> bool:
    """Whether a file, folder or object is there."""
    if is_local(uri):
        return local_path(uri).exists()
    filesystem, key = fsspec.core.url_to_fs(uri)
    return filesystem.exists(key)


def list_files(uri: str) -> list[str]:
    """URIs of all files at any depth under a folder, sorted; empty where there is no such folder."""
    if is_local(uri):
        return sorted(str(path) for path in local_path(uri).rglob("*") if path.is_file())
    filesystem, key = fsspec.core.url_to_fs(uri)
    return sorted(filesystem.unstrip_protocol(name) for name in filesystem.find(key))


def sha256_file(uri: str) -> str:
    """Hex sha256 of a file's bytes, read in pieces."""
    filesystem, key = fsspec.core.url_to_fs(uri)
    digest = hashlib.sha256()
    with explained(uri, "read"), filesystem.open(key, "rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()
