"""The local half of storage: files and folders that get their names whole and on disk, and a disk's refusals in one
sentence.

What is not finished lies beside its final name as a draft, `.<name>.<random>.tmp`, and is gone when its block ends.
"""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pipelines.errors import SSTrackError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}
"""Of disks without hard links (exFAT, some network shares): there a rename has to do."""
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
_BROKEN = _FULL | {errno.EIO, errno.EROFS}
"""What a write says that names no file."""
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}

There = Literal["refuse", "keep", "replace"]
"""What to do about a folder that has the final name already."""


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


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """Yield an unused name beside `path`, whose folder is made. Whatever has that name when the block ends is removed.

    For those who learn the final name, or whether it is wanted, after writing; the others use `new_file`, `new_folder`.
    Raises SSTrackError where the disk refuses the draft; what else goes wrong in the block passes as it is.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    unnamed = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield unnamed
    except OSError as error:
        if not _is_about(unnamed, error):
            raise
        raise SSTrackError(_explain(str(path), "write", error)) from error
    finally:
        _remove(unnamed)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield the name to write a file under. After the block it is synced and takes the name `path`, replacing what is
    there; a block that raises leaves `path` as it was. Raises as `draft` does."""
    with draft(path) as unnamed:
        yield unnamed
        with explained(path):
            _sync(unnamed)
            unnamed.replace(path)
            _sync(path.parent)


@contextmanager
def new_folder(path: Path, there: There = "refuse", sync: bool = True) -> Iterator[Path]:
    """Yield an empty folder to fill. After the block it takes the name `path` as `name_folder` says; a block that
    raises leaves `path` as it was. Raises as `draft` and `name_folder` do."""
    with draft(path) as unnamed:
        unnamed.mkdir()
        yield unnamed
        name_folder(unnamed, path, there, sync)


def name_folder(finished: Path, path: Path, there: There, sync: bool = True) -> bool:
    """Give a finished folder its final name, beside it on the same disk. Returns whether it took it.

    Args:
        finished: the folder; where it is not wanted it stays under its own name.
        path: the final name.
        there: what to do about a folder of that name: raise SSTrackError, keep it, or replace it. A replaced one is
            moved aside first, so that no half-removed folder bears the name.
        sync: whether all of it is put on disk first. Some milliseconds a file.

    Raises SSTrackError where the disk refuses.
    """
    with explained(path), draft(path) as old:
        if sync:
            for folder, _, files in os.walk(finished):
                for name in (*files, "."):
                    _sync(Path(folder, name))
        while True:
            try:
                finished.rename(path)
            except OSError as error:
                if error.errno not in _TAKEN:
                    with suppress(FileNotFoundError):  # nothing was moved aside
                        old.rename(path)
                    raise
                if there == "keep":
                    return False
                if there == "refuse":
                    raise SSTrackError(f"{path} is there already; remove it or choose another name.") from error
            else:
                _sync(path.parent)
                return True
            with suppress(FileNotFoundError):  # another one moved it
                path.rename(old)


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`, replacing what is there: readers see the old bytes or the new, never a part."""
    with new_file(path) as unnamed:
        unnamed.write_bytes(data)


def put_if_absent(path: Path, data: bytes) -> bool:
    """Put `data` at `path` unless something is there. Returns whether this call put it."""
    if path.exists():
        return False
    with draft(path) as unnamed:
        unnamed.write_bytes(data)
        return keep_if_absent(unnamed, path)


def keep_if_absent(finished: Path, path: Path) -> bool:
    """Give a finished file its final name, synced, unless that is taken; the first name is gone either way."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _sync(finished)
            os.link(finished, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno == errno.EXDEV:
                return _copy_beside(finished, path)
            if error.errno not in _NO_LINKS:
                raise
            if path.exists():
                return False
            finished.replace(path)
        finally:
            finished.unlink(missing_ok=True)
        _sync(path.parent)
    return True


def _copy_beside(finished: Path, path: Path) -> bool:
    """For a file on another disk: copy it beside its final name first, which can then be given in one step."""
    with draft(path) as beside:
        shutil.copyfile(finished, beside)
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
    for path in list(folder.rglob(".*.tmp")):
        _remove(path)


def _is_about(unnamed: Path, error: OSError) -> bool:
    """Whether an error of the block is the disk's about the draft: it names it, or is one of a write, which names
    nothing."""
    if error.filename is None:
        return error.errno in _BROKEN
    return isinstance(error.filename, str | bytes) and Path(os.fsdecode(error.filename)).is_relative_to(unnamed)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
