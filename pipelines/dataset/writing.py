"""One writer at a time in a dataset on this machine, and none of a killed writer's drafts left behind."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines import storage
from pipelines.local_files import remove_drafts
from pipelines.locks import work_lock
from pipelines.settings import settings


def local_side(dataset: str) -> Path:
    """The local folder of a dataset's lock and drafts: its own folder, or for S3 one under the work folder."""
    if storage.is_local(dataset):
        return storage.local_path(dataset)
    return settings().work / "datasets" / hashlib.sha256(dataset.rstrip("/").encode()).hexdigest()[:16]


def scratch_of(dataset: str) -> Path:
    """Local folder for drafts of one who holds the dataset; removed by the next holder."""
    return local_side(dataset) / "_state" / "tmp"


@contextmanager
def writing(dataset: str, doing: str) -> Iterator[None]:
    """Hold the dataset for `doing` ("ingest", "compact") while the block runs, drafts of killed writers removed.

    Writers on other machines are not kept out: for them HEAD moves by compare and swap. Raises SSTrackError at once,
    naming the holder, where another process of this machine writes. A dataset folder made for this and still empty at
    the end is removed.
    """
    folder = local_side(dataset)
    fresh = [path for path in (folder, folder.parent) if not path.exists()]
    try:
        with work_lock(folder, "ingest", doing):
            if storage.is_local(dataset):
                remove_drafts(folder)
            yield
    finally:
        for path in fresh:
            with suppress(OSError):  # something is in it
                path.rmdir()
