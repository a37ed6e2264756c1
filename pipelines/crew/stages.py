"""Which stage the running job is in, how long its video is, and what CPU time each stage took, children included."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from pipelines.ingest.video.decoding import decoders


class Tell(Protocol):
    """Told when a stage begins: its name, seconds of video (bytes in stages that only read), and which source it is
    once that is known."""

    def __call__(self, stage: str, amount: float, source_id: str = "") -> None: ...


class Stages:
    """The stages of one job. `cpu` maps a stage to CPU seconds; a stage inside another is not counted in both."""

    def __init__(self, tell: Tell | None = None) -> None:
        self.cpu: dict[str, float] = {}
        self._tell = tell
        self._inner = [0.0]

    @contextmanager
    def run(self, name: str, amount: float, source_id: str) -> Iterator[None]:
        if self._tell is not None:
            self._tell(name, amount, source_id)
        begun = cpu_seconds()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent = cpu_seconds() - begun
            self.cpu[name] = self.cpu.get(name, 0.0) + spent - self._inner.pop()
            self._inner[-1] += spent


_current: ContextVar[Stages | None] = ContextVar("stages", default=None)


@contextmanager
def recorded(tell: Tell | None = None) -> Iterator[Stages]:
    """Record the stages of everything that runs in the block."""
    stages = Stages(tell)
    token = _current.set(stages)
    try:
        yield stages
    finally:
        _current.reset(token)


@contextmanager
def stage(name: str, amount: float = 0.0, source_id: str = "") -> Iterator[None]:
    """The block is stage `name` of the current job, on a video of `amount` seconds (bytes where it only reads).
    Outside a job it means nothing."""
    stages = _current.get()
    if stages is None:
        yield
        return
    with stages.run(name, amount, source_id):
        yield


def cpu_seconds() -> float:
    """CPU seconds of this process, of children that have ended, and of decoders."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + decoders.cpu_seconds()
