"""The local half of storage: files that get their names whole and on disk, and a disk's refusals in one sentence."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import SSTrackError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}
"""Of disks without hard links (exFAT, some network shares): there a rename has to do."""
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}


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


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`, replacing what is there: readers see the old bytes or the new, never a part."""
    draft = _write_beside(path, data)
    with explained(path):
        draft.replace(path)
        sync_folder(path.parent)


def put_if_absent(path: Path, data: bytes) -> bool:
    """Put `data` at `path` unless something is there. Returns whether this call put it."""
    if path.exists():
        return False
    return keep_if_absent(_write_beside(path, data), path)


def keep_if_absent(draft: Path, path: Path) -> bool:
    """Give a finished, synced file its final name unless that is taken; the draft's name is gone either way."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno == errno.EXDEV:
                return _copy_beside(draft, path)
            if error.errno not in _NO_LINKS:
                raise
            if path.exists():
                return False
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.parent)
    return True


def _copy_beside(draft: Path, path: Path) -> bool:
    """For a draft on another disk: copy it beside its final name first, which can then be given in one step."""
    beside = _draft_name(path)
    try:
        with draft.open("rb") as source, beside.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return keep_if_absent(beside, path)


def swap(path: Path, expected: bytes | None, data: bytes) -> bool:
    """Replace a file's bytes if they are `expected` (None: if there is no file). Returns whether they were."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # The folder itself is what writers lock, so that no lock file is left behind by a killed one.
        fcntl.flock(folder, fcntl.LOCK_EX)
        with explained(path, "read"):
            found = path.read_bytes() if path.exists() else None
        if found != expected:
            return False
        write_atomic(path, data)
        return True
    finally:
        os.close(folder)


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes left beside final names at any depth. For those who hold the folder alone."""
    for path in folder.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def _draft_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _write_beside(path: Path, data: bytes) -> Path:
    draft = _draft_name(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with explained(path), draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
