"""When things happen in a decoded video: its frames, what of them is stored, and which stored frames are damaged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.config import StoredFrames
from pipelines.ingest.video.damage import damage_mask, find_gaps
from pipelines.ingest.video.part import Part, Segment, make_task
from pipelines.ingest.video.probe import Probe


@dataclass(frozen=True)
class Timeline:
    """One decoded video in stored frames, counted from 0, and in seconds of the source.

    Attributes:
        numbers: int64 [N], the stored frame that first shows each decoded one, ascending.
        times: float64 [N], when each decoded frame is shown.
        damage: bool [stored], frames that are damaged, predicted from damaged ones, or repeated through a gap.
        fps: stored frames per second; stored frame 0 is shown at `zero_s`.
        expected: frames that should have been decoded.
        pauses: (number, seconds that it lasts, whether a picture stands still) of the first stored frame after each
            pause, ascending; several may share a number.
    """

    numbers: NDArray[np.int64]
    times: NDArray[np.floating]
    damage: NDArray[np.bool_]
    fps: float
    zero_s: float
    expected: int
    pauses: tuple[tuple[int, float, bool], ...] = ()

    def seconds(self, number: int) -> float:
        """When a stored frame is shown."""
        return self.end_seconds(number) + sum(lasts for at, lasts, _ in self.pauses if at == number)

    def end_seconds(self, number: int) -> float:
        """When the stored frame before `number` goes: before the pause that may lie between the two."""
        return self.zero_s + number / self.fps + sum(lasts for at, lasts, _ in self.pauses if at < number)

    def decoded(self, first: int, end: int) -> slice:
        """The decoded frames behind the stored ones `first` to before `end`."""
        return slice(int(np.searchsorted(self.numbers, first)), int(np.searchsorted(self.numbers, end)))


def timeline_of(video: Probe, part: Part, stored: StoredFrames) -> Timeline:
    """The timeline of a wholly decoded video."""
    decoded, task = part.decoded, make_task(video, stored, Segment())
    numbers = np.array([task.number(int(tick)) for tick in decoded.ticks], np.int64) - part.first
    gaps = find_gaps(decoded.ticks, decoded.missing)
    gap_numbers = [(task.number(before) - part.first, task.number(after) - part.first) for before, after in gaps]
    lost = sum(bool(tick > decoded.ticks[-1]) or any(a < tick < b for a, b in gaps) for tick in decoded.missing)
    silent = len(decoded.missing) - lost
    seconds = float(task.time_base)
    rests = video.clock.pauses
    at = np.array(video.clock.places, np.int64)
    lasts = np.array([0, *(rest.lasts for rest in rests)], np.int64).cumsum()
    return Timeline(
        numbers=numbers,
        times=(decoded.ticks - video.origin + lasts[np.searchsorted(at, decoded.ticks, side="right")]) * seconds,
        damage=damage_mask(numbers, decoded.corrupt, gap_numbers, len(part.places)),
        fps=float(task.fps),
        # the first stored frame may stand for a moment before the first that is shown
        zero_s=max(0.0, part.first / float(task.fps) - video.origin * seconds),
        expected=max(video.packets - silent, len(decoded.ticks)),
        pauses=tuple(
            (task.number(int(tick)) - part.first, rest.lasts * seconds, rest.still)
            for tick, rest in zip(at, rests, strict=True)
        ),
    )
