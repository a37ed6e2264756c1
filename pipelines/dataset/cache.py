"""A bounded folder of whole shards of remote datasets, shared by all processes of a machine.

A shard is fetched in parallel parts by one process while the others wait at a file lock, checked against its sha256,
and renamed into place. The kernel drops a lock with its holder, so a killed process leaves nothing that blocks.
"""

import fcntl
import os
import random
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines import storage
from pipelines.dataset.tars import shard_uri
from pipelines.dataset.threads import Threads
from pipelines.errors import SSTrackError

_ATTEMPTS = 4
_WAIT_S = 0.05


class ShardCache:
    """Whole shards on local disk, the longest unused removed first once they exceed `limit` bytes."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Raises SSTrackError where the folder cannot be made."""
        self.folder, self.limit = folder, limit
        storage.make_folder(str(folder))
        self.fetched = 0
        """Shards that this object fetched itself."""
        self._ahead: dict[str, Future[None]] = {}
        self._pool: Threads | None = None
        self._lock = threading.Lock()

    def open(self, dataset: str, shard: str) -> int:
        """A descriptor of a local copy of the shard named by its sha256, fetched if need be. The caller closes it.

        A full cache may remove the copy's name at any time; what is open stays readable. Raises SSTrackError where it
        cannot be fetched whole in several attempts, or is larger than the whole cache may be.
        """
        final = self.folder / f"{shard}.tar"
        with self._locked(shard):
            while True:
                try:
                    descriptor = os.open(final, os.O_RDONLY)
                except FileNotFoundError:
                    uri = shard_uri(dataset, shard)
                    self._reserve(uri, shard, storage.size(uri))
                    self._fetch(uri, shard, final)
                else:
                    # The kernel's own stamp is too coarse to tell two uses in a row apart.
                    now = time.time_ns()
                    os.utime(descriptor, ns=(now, now))
                    return descriptor

    def read_ahead(self, dataset: str, shards: Iterable[str]) -> None:
        """Begin to fetch shards in the background, two at a time. A failure shows when the shard is asked for."""
        with self._lock:
            self._ahead = {shard: future for shard, future in self._ahead.items() if not future.done()}
            if self._pool is None:
                self._pool = Threads(2, "shard-ahead")
            for shard in shards:
                if shard not in self._ahead and not (self.folder / f"{shard}.tar").exists():
                    self._ahead[shard] = self._pool.submit(self._bring, dataset, shard)

    def close(self) -> None:
        """Stop reading ahead; what is being fetched is finished first, unless that takes long."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _bring(self, dataset: str, shard: str) -> None:
        os.close(self.open(dataset, shard))

    def _fetch(self, uri: str, shard: str, final: Path) -> None:
        draft = self._draft(shard)
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                storage.download(uri, draft)
                found = storage.sha256_file(str(draft))
                if found == shard:
                    draft.replace(final)  # synced by the download; others know the draft by its name and count it
                    self.fetched += 1
                    return
                time.sleep(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311 - spreads retries, no secret
        finally:
            draft.unlink(missing_ok=True)
        raise SSTrackError(
            f"{uri} came {_ATTEMPTS} times with other bytes than its name says (sha256 {found[:12]}…); "
            "restore the shard from a copy, `sstrack dataset verify` says what else is wrong."
        )

    def _reserve(self, uri: str, shard: str, wanted: int) -> None:
        """Have room for a shard whose lock we hold, waiting for others' fetches where they take up all of it."""
        if wanted > self.limit:
            raise SSTrackError(
                f"{uri} has {wanted} bytes and the whole cache may have {self.limit}; raise SSTRACK_CACHE_BYTES."
            )
        while not self._make_room(shard, wanted):
            time.sleep(_WAIT_S)

    def _make_room(self, shard: str, wanted: int) -> bool:
        """Whether there is room now. Removes what killed processes left half fetched, then whole shards, the longest
        unused first, and lays down an empty draft of the shard's size, which others count from then on."""
        with self._locked("evict"):
            total = wanted
            for draft in self.folder.glob(".*.draft*"):
                name = draft.name.strip(".")[:64]
                with self._locked(name, wait=False) as idle:
                    if idle or name == shard:
                        draft.unlink(missing_ok=True)
                    elif draft == self._draft(name):
                        with suppress(FileNotFoundError):  # it became a shard this moment, or failed
                            total += draft.stat().st_size
            if total > self.limit:
                return False
            shards = [(path.stat(), path) for path in self.folder.glob("*.tar")]
            total += sum(status.st_size for status, _ in shards)
            for status, path in sorted(shards, key=lambda each: each[0].st_mtime_ns):
                if total <= self.limit:
                    break
                path.unlink()
                total -= status.st_size
            with storage.explained(self.folder), self._draft(shard).open("wb") as file:
                file.truncate(wanted)
            return True

    def _draft(self, shard: str) -> Path:
        return self.folder / f".{shard}.draft"

    @contextmanager
    def _locked(self, name: str, wait: bool = True) -> Iterator[bool]:
        """Hold the lock of that name; yields whether it is held, which it always is where we wait for it."""
        folder = self.folder / "locks"
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)
