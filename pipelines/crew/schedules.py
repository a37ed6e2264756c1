"""Runs jobs on a crew: the largest first, again where that may help, and set aside where it does not."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pipelines.crew.crews import Crew, Ended, Told
from pipelines.crew.limits import BYTE_STAGES, RunLimits
from pipelines.crew.worker import Died, Done, Raised
from pipelines.errors import SSTrackError
from pipelines.ingest.quarantine import Crashes
from pipelines.ingest.reject import Transient

log = logging.getLogger(__name__)

_LOOK_S = 0.5


class Job(Protocol):
    """What a crew does."""

    @property
    def label(self) -> str:
        """Readable name."""
        ...

    @property
    def weight(self) -> float:
        """Expected share of the work, in any unit."""
        ...


@dataclass
class Running:
    """A job under way: its stage, the length of its video as far as told, and when it began (monotonic seconds)."""

    job: Any
    stage: str = "start"
    seconds: float = 0.0
    begun: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Finished:
    """A job's last outcome: `value` where it was done, else `reason` (crashed, memory, deadline, unreachable)."""

    job: Any
    value: Any = None
    reason: str = ""
    detail: str = ""
    source_id: str = ""
    """Of a job that was not done, as far as its worker told it."""
    parts: tuple[Any, ...] = ()
    """Values of its parts, where it was split."""


@dataclass(frozen=True)
class Split:
    """A job's value where it asks for `parts` to be done, in any order, and then `last`, whose end is the job's own."""

    parts: tuple[Any, ...]
    last: Any


@dataclass
class _Group:
    """A split job: how many of its parts are still to end, what they gave, and whether it is over."""

    job: Any
    last: Any
    missing: int
    values: list[Any] = field(default_factory=list)
    over: bool = False


class Watch(Protocol):
    """Is told what runs, every half second or so."""

    def __call__(self, running: Sequence[Running], /) -> None: ...


def run_jobs(jobs: Sequence[Any], crew: Crew, limits: RunLimits, watch: Watch, crashes: Crashes) -> Iterator[Finished]:
    """Yield each job's end, in the order they end. `crashes` counts, by label, how many workers a job has killed. An
    SSTrackError of a job (no space left, say) stops everything and is raised; so is what fails in this
    process."""
    return _Schedule(jobs, crew, limits, watch, crashes).run()


class _Schedule:
    def __init__(self, jobs: Sequence[Any], crew: Crew, limits: RunLimits, watch: Watch, crashes: Crashes) -> None:
        self._waiting = sorted(range(len(jobs)), key=lambda number: jobs[number].weight)  # popped from the end
        self._later: list[tuple[float, int]] = []
        self._failures = [0] * len(jobs)
        self._running: dict[int, Running] = {}
        self._groups: dict[int, _Group] = {}
        self._jobs = list(jobs)
        self._crew, self._limits, self._watch, self._crashes = crew, limits, watch, crashes

    def run(self) -> Iterator[Finished]:
        while self._waiting or self._later or self._running:
            self._begin()
            for item in self._crew.news(_LOOK_S):
                if isinstance(item, Told):
                    running = self._running[item.number]
                    running.stage = item.stage
                    if item.stage not in BYTE_STAGES:
                        running.seconds = item.amount or running.seconds
                elif (ended := self._judge(item)) and (finished := self._settle(item.number, ended)):
                    yield finished
            self._watch(list(self._running.values()))

    def _begin(self) -> None:
        now = time.monotonic()
        due = [number for ready, number in self._later if ready <= now]
        self._later = [(ready, number) for ready, number in self._later if ready > now]
        self._waiting += due
        while self._waiting and len(self._running) < self._crew.size:
            number = self._waiting.pop()
            self._running[number] = Running(self._jobs[number])
            self._crew.start(number, self._jobs[number])
        if not self._running and self._later:
            time.sleep(max(0.0, min(_LOOK_S, min(ready for ready, _ in self._later) - now)))

    def _settle(self, number: int, ended: Finished) -> Finished | None:
        """What the end of job `number` means for the job that was asked for: None while parts of it are missing."""
        group = self._groups.get(number)
        if isinstance(ended.value, Split):
            split = ended.value
            group = _Group(ended.job, split.last, len(split.parts))
            self._waiting += [self._add(part, group) for part in reversed(split.parts)]
            return None
        if group is None:
            return ended
        if group.over:
            return None
        if ended.reason or group.missing == 0:
            group.over = True
            self._waiting = [each for each in self._waiting if self._groups.get(each) is not group]
            self._later = [each for each in self._later if self._groups.get(each[1]) is not group]
            return replace(ended, job=group.job, parts=tuple(group.values))
        group.missing -= 1
        group.values.append(ended.value)
        if group.missing == 0:
            self._waiting.append(self._add(group.last, group))
        return None

    def _add(self, job: Any, group: _Group) -> int:
        self._jobs.append(job)
        self._failures.append(0)
        self._groups[len(self._jobs) - 1] = group
        return len(self._jobs) - 1

    def _judge(self, ended: Ended) -> Finished | None:
        """The job's end, or None where it is tried again."""
        number, outcome = ended.number, ended.outcome
        job = self._running.pop(number).job
        if isinstance(outcome, Done):
            return Finished(job, outcome.value)
        if isinstance(outcome, Raised):
            if isinstance(outcome.error, SSTrackError):
                raise outcome.error
            if isinstance(outcome.error, Transient):
                return self._again(number, job, str(outcome.error))
            log.error("%s: %s", job.label, outcome.trace)
            outcome = Died("crashed", f"{type(outcome.error).__name__}: {outcome.error}")
        return self._dead(number, job, outcome)

    def _again(self, number: int, job: Any, detail: str) -> Finished | None:
        self._failures[number] += 1
        if self._failures[number] >= self._limits.attempts:
            return Finished(job, reason="unreachable", detail=f"{detail} ({self._failures[number]} attempts)")
        wait = self._limits.retry_seconds * 2 ** (self._failures[number] - 1)
        log.warning("%s: %s; trying again in %.0f s", job.label, detail, wait)
        self._later.append((time.monotonic() + wait, number))
        return None

    def _dead(self, number: int, job: Any, death: Died) -> Finished | None:
        count = self._crashes.one_more(job.label)
        if count >= self._limits.crashes:
            detail = f"{death.detail} ({count} times); --retry-quarantined tries it again"
            return Finished(job, reason=death.reason, detail=detail, source_id=death.source_id)
        log.warning("%s: %s; trying again", job.label, death.detail)
        self._later.append((time.monotonic(), number))
        return None
