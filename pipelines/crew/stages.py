"""Which stage the running errand is in, how much there is to do in it, and what CPU time each stage took."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

Clock = Callable[[], float]
"""CPU seconds spent so far by all that works for an errand."""


class Tell(Protocol):
    """Told when a stage begins: its name, how much there is to do in it (in the unit that the crew's deadline takes for
    that stage), and a name for what the errand works on once that is known."""

    def __call__(self, stage: str, amount: float, subject: str = "") -> None: ...


def process_seconds() -> float:
    """CPU seconds of this process and of children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


class Stages:
    """The stages of one errand. `cpu` maps a stage to CPU seconds; a stage inside another is not counted in both."""

    def __init__(self, tell: Tell | None = None, clock: Clock = process_seconds) -> None:
        self.cpu: dict[str, float] = {}
        self._tell, self._clock = tell, clock
        self._inner = [0.0]

    @contextmanager
    def enter(self, name: str, amount: float, subject: str) -> Iterator[None]:
        """The block is stage `name`."""
        if self._tell is not None:
            self._tell(name, amount, subject)
        begun = self._clock()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent = self._clock() - begun
            self.cpu[name] = self.cpu.get(name, 0.0) + spent - self._inner.pop()
            self._inner[-1] += spent


_current: ContextVar[Stages | None] = ContextVar("stages", default=None)


@contextmanager
def recorded(tell: Tell | None = None, clock: Clock = process_seconds) -> Iterator[Stages]:
    """Record the stages of everything that runs in the block, their CPU time by `clock`."""
    stages = Stages(tell, clock)
    token = _current.set(stages)
    try:
        yield stages
    finally:
        _current.reset(token)


@contextmanager
def stage(name: str, amount: float = 0.0, subject: str = "") -> Iterator[None]:
    """The block is stage `name` of the current errand, with `amount` to do, on `subject`. Outside an errand it means
    nothing."""
    stages = _current.get()
    if stages is None:
        yield
        return
    with stages.enter(name, amount, subject):
        yield
