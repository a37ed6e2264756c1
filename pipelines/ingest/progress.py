"""How far a run is: seconds of video done and to do, rate, time to go, what is slow, where the CPU time goes."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.crew.schedules import Running
from pipelines.ingest.find.sources import printable
from pipelines.ingest.limits import BYTE_STAGES


@dataclass(frozen=True)
class IngestProgress:
    """The state of a run after a source, or between two.

    Args:
        done: new sources that ended.
        total: new sources of this run.
        seconds: seconds of video in those that ended.
        seconds_total: expected for all, from the bytes of those whose length is not known yet; None before the first.
        rate: seconds of video per second of time, None before the first.
        eta_s: seconds to go at that rate, None before the first.
        source_uri: the source that ended now, empty between two.
        clips: its clips.
        slowest: the running source that began first, empty where none runs.
        slowest_stage: what it is doing.
        slowest_s: for how many seconds it has been running.
        cpu: CPU seconds per stage, of the sources that ended.
    """

    done: int
    total: int
    seconds: float
    seconds_total: float | None = None
    rate: float | None = None
    eta_s: float | None = None
    source_uri: str = ""
    clips: int = 0
    slowest: str = ""
    slowest_stage: str = ""
    slowest_s: float = 0.0
    cpu: Mapping[str, float] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """What is done of the whole, 0 to 1: of the seconds where they are known, else of the sources."""
        if self.seconds_total:
            return self.seconds / self.seconds_total
        return self.done / self.total if self.total else 1.0

    def line(self) -> str:
        """Everything in one line."""
        whole = "" if self.seconds_total is None else f" of about {self.seconds_total:.0f}"
        parts = [f"{self.done} of {self.total} sources", f"{self.seconds:.0f}{whole} s of video"]
        if self.rate is not None and self.eta_s is not None:
            parts.append(f"{self.rate:.1f}x real time, {_duration(self.eta_s)} to go")
        if self.slowest:
            parts.append(
                f"longest running {printable(self.slowest)} ({self.slowest_stage}, {_duration(self.slowest_s)})"
            )
        if self.cpu:
            stages = sorted(self.cpu.items(), key=lambda item: -item[1])[:4]
            parts.append("CPU " + ", ".join(f"{name} {spent:.0f} s" for name, spent in stages))
        return "; ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _seconds(running: Running) -> float:
    """Length of a running errand's video, 0 where it is not told yet."""
    return max((amount for stage, amount in running.amounts.items() if stage not in BYTE_STAGES), default=0.0)


class Meter:
    """Counts a run whose sources weigh `weights` bytes in all."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._total, self._weight = len(weights), sum(weights)
        self._begun = time.monotonic()
        self._done, self._seconds, self._done_weight = 0, 0.0, 0.0
        self._cpu: Counter[str] = Counter()

    def ended(self, weight: float, seconds: float, cpu: Mapping[str, float]) -> None:
        """Count a source that ended."""
        self._done += 1
        self._seconds += seconds
        self._done_weight += weight
        self._cpu.update(cpu)

    def now(self, running: Sequence[Running], source_uri: str = "", clips: int = 0) -> IngestProgress:
        """The state at this moment."""
        now = time.monotonic()
        total = self._expected(running)
        rate = self._seconds / max(now - self._begun, 1e-9) if self._seconds > 0 else None
        oldest = min(running, key=lambda errand: errand.begun, default=None)
        return IngestProgress(
            done=self._done,
            total=self._total,
            seconds=self._seconds,
            seconds_total=total,
            rate=rate,
            eta_s=None if rate is None or total is None else max(0.0, total - self._seconds) / rate,
            source_uri=source_uri,
            clips=clips,
            slowest=oldest.errand.label if oldest else "",
            slowest_stage=oldest.stage if oldest else "",
            slowest_s=now - oldest.begun if oldest else 0.0,
            cpu=dict(self._cpu),
        )

    def _expected(self, running: Sequence[Running]) -> float | None:
        known = [(at.errand, seconds) for at in running if (seconds := _seconds(at)) > 0]
        measured = self._done_weight + sum(errand.weight for errand, _ in known)
        seconds = self._seconds + sum(seconds * errand.share for errand, seconds in known)
        if seconds <= 0 or measured <= 0:
            return None
        return seconds + seconds / measured * max(0.0, self._weight - measured)
