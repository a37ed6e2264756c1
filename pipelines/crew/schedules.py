"""Runs errands on a crew: the largest first, again where that may help, and set aside where it does not."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pipelines.crew.crews import Crew, Ended, Told
from pipelines.crew.worker import Died, Done, Raised
from pipelines.errors import SSTrackError

log = logging.getLogger(__name__)

_LOOK_S = 0.5
GIVEN_UP = "given_up"
"""Reason of an errand that raised `Retries.again` in every attempt."""


class Errand(Protocol):
    """What a crew does."""

    @property
    def label(self) -> str:
        """Readable name."""
        ...

    @property
    def weight(self) -> float:
        """Expected share of the work, in any unit."""
        ...


@dataclass(frozen=True)
class Retries:
    """When an errand is tried again. One that raises `again` has so many `attempts`, the second after `wait_s` seconds,
    each further one after twice as long; one that killed `deaths` workers is given up."""

    again: type[Exception]
    attempts: int
    wait_s: float
    deaths: int


class Deaths(Protocol):
    """Counts, by label, how many workers an errand has killed, over as many runs as whoever keeps the count likes."""

    def one_more(self, label: str, /) -> int:
        """Count a death; returns how many there were."""
        ...


@dataclass
class Running:
    """An errand under way: its stage, what it told of the amounts of its stages, and when it began (monotonic
    seconds)."""

    errand: Any
    stage: str = "start"
    amounts: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Finished:
    """An errand's last outcome: `value` where it was done, else `reason` (crashed, memory, deadline, given_up)."""

    errand: Any
    value: Any = None
    reason: str = ""
    detail: str = ""
    subject: str = ""
    """What an errand that was not done works on, as far as it told."""
    pieces: tuple[Any, ...] = ()
    """Values of its pieces, where it was split."""


@dataclass(frozen=True)
class Split:
    """An errand's value where it asks for `pieces` to be done, in any order, and then `last`, whose end is the errand's
    own."""

    pieces: tuple[Any, ...]
    last: Any


@dataclass
class _Group:
    """A split errand: how many of its pieces are still to end, what they gave, and whether it is over."""

    errand: Any
    last: Any
    missing: int
    values: list[Any] = field(default_factory=list)
    over: bool = False


class Watch(Protocol):
    """Is told what runs, every half second or so."""

    def __call__(self, running: Sequence[Running], /) -> None: ...


def run_errands(
    errands: Sequence[Errand], crew: Crew, retries: Retries, watch: Watch, deaths: Deaths
) -> Iterator[Finished]:
    """Yield each errand's end, in the order they end. An SSTrackError of an errand (no space left, say) stops
    everything and is raised; so is what fails in this process."""
    return _Schedule(errands, crew, retries, watch, deaths).run()


class _Schedule:
    def __init__(self, errands: Sequence[Errand], crew: Crew, retries: Retries, watch: Watch, deaths: Deaths) -> None:
        self._waiting = sorted(range(len(errands)), key=lambda number: errands[number].weight)  # popped from the end
        self._later: list[tuple[float, int]] = []
        self._failures = [0] * len(errands)
        self._running: dict[int, Running] = {}
        self._groups: dict[int, _Group] = {}
        self._errands = list(errands)
        self._crew, self._retries, self._watch, self._deaths = crew, retries, watch, deaths

    def run(self) -> Iterator[Finished]:
        while self._waiting or self._later or self._running:
            self._begin()
            for item in self._crew.news(_LOOK_S):
                if isinstance(item, Told):
                    running = self._running[item.number]
                    running.stage = item.stage
                    running.amounts[item.stage] = item.amount
                elif (ended := self._end_of(item)) and (finished := self._settle(item.number, ended)):
                    yield finished
            self._watch(list(self._running.values()))

    def _begin(self) -> None:
        now = time.monotonic()
        due = [number for ready, number in self._later if ready <= now]
        self._later = [(ready, number) for ready, number in self._later if ready > now]
        self._waiting += due
        while self._waiting and len(self._running) < self._crew.size:
            number = self._waiting.pop()
            self._running[number] = Running(self._errands[number])
            self._crew.start(number, self._errands[number])
        if not self._running and self._later:
            time.sleep(max(0.0, min(_LOOK_S, min(ready for ready, _ in self._later) - now)))

    def _settle(self, number: int, ended: Finished) -> Finished | None:
        """What the end of errand `number` means for the one that was asked for: None while pieces of it are missing."""
        group = self._groups.get(number)
        if isinstance(ended.value, Split):
            split = ended.value
            group = _Group(ended.errand, split.last, len(split.pieces))
            self._waiting += [self._add(share, group) for share in reversed(split.pieces)]
            return None
        if group is None:
            return ended
        if group.over:
            return None
        if ended.reason or group.missing == 0:
            group.over = True
            self._waiting = [each for each in self._waiting if self._groups.get(each) is not group]
            self._later = [each for each in self._later if self._groups.get(each[1]) is not group]
            return replace(ended, errand=group.errand, pieces=tuple(group.values))
        group.missing -= 1
        group.values.append(ended.value)
        if group.missing == 0:
            self._waiting.append(self._add(group.last, group))
        return None

    def _add(self, errand: Any, group: _Group) -> int:
        self._errands.append(errand)
        self._failures.append(0)
        self._groups[len(self._errands) - 1] = group
        return len(self._errands) - 1

    def _end_of(self, ended: Ended) -> Finished | None:
        """The errand's end, or None where it is tried again."""
        number, outcome = ended.number, ended.outcome
        errand = self._running.pop(number).errand
        if isinstance(outcome, Done):
            return Finished(errand, outcome.value)
        if isinstance(outcome, Raised):
            if isinstance(outcome.error, SSTrackError):
                raise outcome.error
            if isinstance(outcome.error, self._retries.again):
                return self._again(number, errand, str(outcome.error))
            log.error("%s: %s", errand.label, outcome.trace)
            outcome = Died("crashed", f"{type(outcome.error).__name__}: {outcome.error}")
        return self._dead(number, errand, outcome)

    def _again(self, number: int, errand: Any, detail: str) -> Finished | None:
        self._failures[number] += 1
        if self._failures[number] >= self._retries.attempts:
            return Finished(errand, reason=GIVEN_UP, detail=f"{detail} ({self._failures[number]} attempts)")
        wait = self._retries.wait_s * 2 ** (self._failures[number] - 1)
        log.warning("%s: %s; trying again in %.0f s", errand.label, detail, wait)
        self._later.append((time.monotonic() + wait, number))
        return None

    def _dead(self, number: int, errand: Any, death: Died) -> Finished | None:
        count = self._deaths.one_more(errand.label)
        if count >= self._retries.deaths:
            detail = f"{death.detail} ({count} times)"
            return Finished(errand, reason=death.reason, detail=detail, subject=death.subject)
        log.warning("%s: %s; trying again", errand.label, death.detail)
        self._later.append((time.monotonic(), number))
        return None
