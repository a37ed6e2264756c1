"""Which rank is missing when the others wait for it in vain."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch.distributed as dist
from torch.distributed import distributed_c10d

from pipelines.errors import SSTrackError

_BEAT_S = 1.0
_STORE_PATIENCE_S = 10.0
_WORDS = ("timed out", "timeout", "connection", "broken pipe", "reset by peer")


@dataclass(frozen=True)
class _Note:
    beat: int
    step: int
    doing: str
    place: str


class RollCall:
    """Each rank's place in the training, noted every second in the store through which the ranks found each other."""

    def __init__(self, rank: int, world: int, timeout_s: float) -> None:
        """`timeout_s`: how long collective operations wait, for the message."""
        self._rank, self._world, self._timeout_s = rank, world, timeout_s
        self._place = f"process {os.getpid()} on {socket.gethostname()}"
        self._step, self._doing = 0, "starting"
        self._ended = threading.Event()
        if world > 1:
            self._store = distributed_c10d._get_default_store()  # pyright: ignore[reportPrivateUsage]
            self._note(0)
            threading.Thread(target=self._beat, name="roll call", daemon=True).start()

    def at(self, step: int, doing: str) -> None:
        """This rank is doing something (`reads`, `trains`) of a step (1, 2, …)."""
        self._step, self._doing = step, doing

    def close(self) -> None:
        self._ended.set()

    @contextmanager
    def answered(self) -> Iterator[None]:
        """Turn the failure of a collective operation in the block into an SSTrackError that names who is missing.

        Other exceptions pass.
        """
        try:
            yield
        except RuntimeError as error:
            lost = isinstance(error, dist.DistError) or any(word in str(error).lower() for word in _WORDS)
            if self._world == 1 or not lost:
                raise
            raise SSTrackError(
                f"rank {self._rank} of {self._world} lost the others in step {self._step}, after waiting for up to "
                f"{self._timeout_s:.0f} s: {self._missing()} ({str(error).splitlines()[0][:160]})"
            ) from error
        finally:
            self.close()

    def _beat(self) -> None:
        beat = 0
        while not self._ended.wait(_BEAT_S):
            beat += 1
            try:
                self._note(beat)
            except RuntimeError:  # rank 0 is gone, and the store with it: the next collective operation says so
                return

    def _note(self, beat: int) -> None:
        self._store.set(f"sstrack/{self._rank}", f"{beat};{self._step};{self._doing};{self._place}")

    def _missing(self) -> str:
        try:
            before = self._notes()
            time.sleep(3 * _BEAT_S)
            after = self._notes()
        except RuntimeError:
            return "rank 0 does not answer, so its process, its machine or the network to it is gone"
        silent = [rank for rank in after if before[rank].beat == after[rank].beat and rank != self._rank]
        furthest = max((note.step, note.doing == "trains") for note in after.values())
        behind = [rank for rank, note in after.items() if (note.step, note.doing == "trains") < furthest]
        if silent:
            return "; ".join(f"rank {rank} ({after[rank].place}) is frozen or dead" for rank in silent)
        if behind:
            return "; ".join(
                f"rank {rank} ({after[rank].place}) still {after[rank].doing} step {after[rank].step}"
                for rank in behind
            )
        return f"all are alive and in step {after[self._rank].step}, so the network between them is at fault"

    def _notes(self) -> dict[int, _Note]:
        found: dict[int, _Note] = {}
        for rank in range(self._world):
            self._store.wait([f"sstrack/{rank}"], timedelta(seconds=_STORE_PATIENCE_S))
            beat, step, doing, place = self._store.get(f"sstrack/{rank}").decode().split(";", 3)
            found[rank] = _Note(int(beat), int(step), doing, place)
        return found
