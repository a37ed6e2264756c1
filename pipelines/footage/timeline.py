"""When packets are shown: the times that a container gives, made one line that never runs back.

Pure numbers. Three clocks, all in ticks of the stream. *Raw* times are the container's: they may begin again where
recordings were put behind each other. *Continued* times go on there. *Pressed* times also leave out pauses, in which
nothing new is shown: stored frames are counted in them, so that no pause is filled with repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

NO_TIME = int(np.iinfo(np.int64).min)
"""Stands for a time that is not given."""
WRAP = 1 << 33
"""MPEG's times begin again after so many ticks."""
_BACK_S = 0.25
"""Times that run back by more than this many seconds begin again; what runs back by less is out of order."""
_BACK_STEPS = 1.5
_PAUSE_S = 1.0
_PAUSE_STEPS = 4
"""Frames further apart than both this many seconds and this many times the usual distance leave a pause."""
_BLAMED = 3
_SPLICE_S = 10.0
"""A pause at least this long in a container whose times may jump is a splice: no time passes there."""
_NO_PAUSE_S = 31 * 86400.0
"""Nobody records a pause this long: such a time is a damaged one, in any container."""


@dataclass(frozen=True)
class Pause:
    """Nothing new is shown between the continued times `before` and `after`; `lasts` of those ticks count as time of
    the film, none where two recordings are spliced. `still`: the last picture is shown on meanwhile."""

    before: int
    after: int
    lasts: int
    still: bool


@dataclass(frozen=True)
class Clock:
    """How raw times become continued and pressed ones.

    Attributes:
        time_base: seconds per tick.
        step: ticks from one frame to the next, as a rule.
        back: ticks; raw times that run back by more begin again.
        restarts: what is added to raw times after the first, second, ... time that they begin again.
        pauses: in order.
        first, end: continued time of the first frame, and when the last one goes.
    """

    time_base: Fraction
    step: int
    back: int
    restarts: tuple[int, ...] = ()
    pauses: tuple[Pause, ...] = ()
    first: int = 0
    end: int = 0

    @property
    def plain(self) -> bool:
        """Whether all three clocks are one."""
        return not self.restarts and not self.pauses

    def offset(self, begun_again: int) -> int:
        """What is added to raw times once they have begun again so many times; later beginnings go with the last."""
        return ([0, *self.restarts])[min(begun_again, len(self.restarts))]

    def pressed(self, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pressed times of continued ones (int64, any shape). A time in a pause counts as the end that is nearer."""
        if not self.pauses:
            return ticks
        middles = np.array([(pause.before + pause.after) // 2 for pause in self.pauses], np.int64)
        left_out = np.cumsum([0, *(self.left_out(pause) for pause in self.pauses)])
        return ticks - left_out[np.searchsorted(middles, ticks, side="right")]

    def press(self, tick: int) -> int:
        """The pressed time of one continued time."""
        return int(self.pressed(np.array([tick], np.int64))[0])

    def left_out(self, pause: Pause) -> int:
        """Ticks of a pause that pressed times lack: all but the step to the next frame."""
        return pause.after - pause.before - self.step

    def source_ticks(self, pressed: int) -> int:
        """Ticks of the film from its first frame to a pressed time: spliced time left out, pauses that last not."""
        return (
            pressed
            - self.press(self.first)
            + sum(pause.lasts for pause, at in zip(self.pauses, self.places, strict=True) if at <= pressed)
        )

    @property
    def places(self) -> list[int]:
        """The pressed time of the first frame after each pause."""
        return [self.press(pause.after) for pause in self.pauses]

    @property
    def ticks(self) -> int:
        """How long the film is, pauses that last included."""
        return self.source_ticks(self.press(self.end))


@dataclass(frozen=True)
class Packets:
    """Packets in the order of the file: int64 [M] presentation and decoding times (NO_TIME where there is none) and
    durations in ticks (0 where unknown)."""

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    duration: NDArray[np.int64]

    @property
    def times(self) -> NDArray[np.int64]:
        """int64 [M], the presentation time or else the decoding time. One that begins again before its packet's
        decoding time does is taken as if it had not yet."""
        both = (self.pts != NO_TIME) & (self.dts != NO_TIME)
        wrapped = both & (np.where(both, self.dts, 0) - np.where(both, self.pts, 0) > WRAP // 2)
        return np.where(self.pts == NO_TIME, self.dts, self.pts + np.where(wrapped, WRAP, 0))


def clock_of(packets: Packets, time_base: Fraction, usual: int, *, spliced: bool) -> Clock:
    """The clock of a stream whose frames are as a rule `usual` ticks apart, `spliced` where its container's times may
    jump without a pause."""
    step = max(1, usual)
    back = max(round(_BACK_S / time_base), round(_BACK_STEPS * step))
    times, parts = packets.times, beginnings(packets, back)
    timed = times != NO_TIME
    if not timed.any():
        return Clock(time_base, step, back)
    wraps = _wraps(packets, parts)
    offsets: list[int] = []
    end = 0
    for part in range(int(parts.max()) + 1):
        own = times[timed & (parts == part)]
        if len(own) == 0:
            offsets.append(offsets[-1] if offsets else 0)
            continue
        if not offsets:
            offsets.append(0)
        elif wraps[part]:  # exactly so, as pictures on both sides of it are in one order
            offsets.append(offsets[-1] + WRAP)
        else:
            offsets.append(end - int(own.min()))
        end = int(own.max()) + offsets[-1] + step
    shown = np.unique(times[timed] + np.array(offsets, np.int64)[parts[timed]])
    rests = np.diff(shown)
    limit = max(round(_PAUSE_S / time_base), _PAUSE_STEPS * step)
    splice = round((_SPLICE_S if spliced else _NO_PAUSE_S) / time_base)
    pauses = tuple(
        Pause(
            int(shown[at]),
            int(shown[at + 1]),
            0 if rests[at] >= splice else int(rests[at]) - step,
            not spliced and bool(rests[at] < splice),
        )
        for at in np.flatnonzero(rests > limit)
    )
    return Clock(time_base, step, back, tuple(offsets[1:]), pauses, int(shown[0]), int(shown[-1]) + step)


def _wraps(packets: Packets, parts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool [parts]: those before which times fell by so much that they wrapped."""
    order = np.where(packets.dts == NO_TIME, packets.pts, packets.dts)
    timed = np.flatnonzero(order != NO_TIME)
    falls = np.diff(order[timed]) < -(WRAP // 2)
    wraps = np.zeros(int(parts.max()) + 1, np.bool_)
    wraps[parts[timed[1:]][falls]] = True
    return wraps


def beginnings(packets: Packets, back: int) -> NDArray[np.int64]:
    """int64 [M], how many times the times have begun again before each packet: where decoding times run back by more
    than `back`, presentation times where a stream has no others."""
    order = (
        np.where(packets.dts == NO_TIME, packets.pts, packets.dts) if (packets.dts != NO_TIME).any() else packets.pts
    )
    timed = np.flatnonzero(order != NO_TIME)
    begun = np.zeros(len(order), np.int64)
    begun[timed[1:]] = np.diff(order[timed]) < -back
    return np.cumsum(begun)


def last_before_seams(packets: Packets, clock: Clock) -> frozenset[int]:
    """Decoding times of the last packets before times jump: demuxers take them for broken there, as counters jump too,
    though a recording that ends is whole. Their parsers may lay the blame on the packet before."""
    order = np.where(packets.dts == NO_TIME, packets.pts, packets.dts)
    timed = np.flatnonzero(order != NO_TIME)
    steps = np.diff(order[timed])
    far = min((pause.after - pause.before for pause in clock.pauses), default=int(np.iinfo(np.int64).max))
    seams = np.flatnonzero((steps < -clock.back) | (steps >= far - 2 * clock.step))
    return frozenset(int(order[timed[at - back]]) for at in seams for back in range(_BLAMED) if at >= back)


def usual_step(times: NDArray[np.int64], otherwise: int) -> int:
    """The median distance between frames shown one after the other; `otherwise` where fewer than two are timed."""
    known = np.unique(times[times != NO_TIME])
    return max(1, round(float(np.median(np.diff(known))))) if len(known) > 1 else otherwise


def first_part(packets: Packets, time_base: Fraction) -> NDArray[np.int64]:
    """The packets' times up to where they first begin again."""
    return packets.times[beginnings(packets, round(_BACK_S / time_base)) == 0]


def usual_rate(times: NDArray[np.int64], step: int, time_base: Fraction) -> Fraction:
    """Frames per second while frames are about `step` apart: the mean of such distances, as coarse ticks round each."""
    rests = np.diff(np.unique(times[times != NO_TIME]))
    near = rests[(rests > 0.7 * step) & (rests < 1.4 * step)]
    mean = Fraction(int(near.sum()), len(near)) if len(near) else Fraction(step)
    return (1 / (mean * time_base)).limit_denominator(1001)


class Follower:
    """Follows a stream's raw times as they come, one packet after another, and says how often they have begun again."""

    def __init__(self, back: int) -> None:
        self._back, self._last, self.begun_again = back, NO_TIME, 0

    def see(self, tick: int) -> int:
        """Take the next packet's decoding time (or NO_TIME); returns how often times have begun again by then."""
        if tick != NO_TIME:
            if self._last != NO_TIME and tick < self._last - self._back:
                self.begun_again += 1
            self._last = tick
        return self.begun_again


def in_words(clock: Clock) -> str:
    """The clock as an expression of ffmpeg's filter `setpts`: pressed times from raw ones, frame by frame."""
    count = f"st(0,ld(0)+lt(PTS,PREV_INPTS-{clock.back}))" if clock.restarts else "0"
    added = [clock.offset(number) - clock.offset(number - 1) for number in range(1, len(clock.restarts) + 1)]
    continued = "PTS" + "".join(f"+gte(ld(0),{number})*({more})" for number, more in enumerate(added, 1))
    left = "".join(f"-gte(ld(1),{(pause.before + pause.after) // 2})*{clock.left_out(pause)}" for pause in clock.pauses)
    return f"{count};st(1,{continued});ld(1){left}"


def uncovered(spans: Sequence[tuple[float, float]], end: float, least: float) -> list[tuple[float, float]]:
    """Spans of [0, `end`) of at least `least` that none of `spans` covers."""
    at, holes = 0.0, list[tuple[float, float]]()
    for start, stop in sorted([*spans, (end, end)]):
        if min(start, end) - at >= least:
            holes.append((at, min(start, end)))
        at = max(at, stop)
    return holes
