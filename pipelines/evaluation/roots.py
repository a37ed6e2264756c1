"""A benchmark's root as a local folder: one on s3:// is fetched into `<work>/benchmarks` and kept there."""

import hashlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.settings import settings
from pipelines.storage import Object

log = logging.getLogger(__name__)

_PARALLEL = 16
_NAME = "source.txt"

_TELL_S = 10.0


def local_root(root: str) -> Path:
    """The folder of `root` on this machine.

    Objects that are here with the size and time they have in the store stay; others are fetched, and what has left the
    store goes. An interrupted fetch goes on where it was.

    Raises:
        UsageError: a scheme that is not known.
        SSTrackError: nothing at that prefix, or a store that refuses.
    """
    if storage.is_local(root):
        return storage.local_path(root)
    objects = [each for each in storage.list_objects(root) if not each.uri.endswith("/")]
    if not objects:
        raise SSTrackError(f"nothing at {root}: name the prefix that holds the benchmark's folders")
    place = settings().work / "benchmarks" / hashlib.sha256(root.rstrip("/").encode()).hexdigest()[:16]
    folder = place / "root"
    storage.write_atomic(str(place / _NAME), f"{root}\n".encode())
    targets = {_target(folder, root, each.uri): each for each in objects}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in targets:
            path.unlink()
    waiting = {path: each for path, each in targets.items() if not _is_here(path, each)}
    if waiting:
        size = sum(each.size for each in waiting.values())
        log.info("fetching %d files, %.1f MB, of %s to %s", len(waiting), size / 1e6, root, folder)
        _fetch(waiting, sum(each.size for each in objects))
    return folder


def _fetch(waiting: dict[Path, Object], total: int) -> None:
    told = time.monotonic()
    done = total - sum(each.size for each in waiting.values())
    with ThreadPoolExecutor(_PARALLEL) as pool:
        try:
            for size in pool.map(_fetch_one, waiting, waiting.values()):
                done += size
                if time.monotonic() - told >= _TELL_S:
                    told = time.monotonic()
                    log.info("%.1f of %.1f MB are here", done / 1e6, total / 1e6)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(path: Path, each: Object) -> int:
    storage.download(each.uri, path)
    written = each.modified.timestamp()
    os.utime(path, (written, written))
    return each.size


def _is_here(path: Path, each: Object) -> bool:
    if not path.is_file():
        return False
    status = path.stat()
    return status.st_size == each.size and abs(status.st_mtime - each.modified.timestamp()) < 1e-3


def _target(folder: Path, root: str, uri: str) -> Path:
    name = PurePosixPath(uri[len(root.rstrip("/")) :].lstrip("/"))
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise SSTrackError(f"{uri} has a name that leads out of its folder; rename the object")
    return folder / name
