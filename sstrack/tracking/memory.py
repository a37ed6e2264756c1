"""Template memory: the first frame's crop and crops at later predictions, chosen by the published schedule.

The published tracker keeps every crop it ever made. Here the history is thinned as it grows, so that endless video
needs bounded memory; until it is thinned for the first time the choice is exactly the published one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

HISTORY = 64
"""Crops of later frames that are kept at most; enough that a chosen frame is off by under 2 % of the history."""


@dataclass(frozen=True)
class TemplateMemory:
    """Crops of one sequence, oldest first."""

    crops: tuple[Tensor, ...]
    """`[C, S, S]` each, the first frame's at the front."""
    frames: tuple[int, ...] = (0,)
    """Index of the frame that each crop was cut from."""
    spacing: int = 1
    """Frames between neighbouring crops that are kept; a power of two."""

    def wants(self, frame: int) -> bool:
        """Whether the crop of frame `frame` would be kept."""
        return frame % self.spacing == 0

    def add(self, frame: int, crop: Tensor) -> "TemplateMemory":
        """With the crop of a later frame; every second one is forgotten when there are too many."""
        crops, frames, spacing = (*self.crops, crop), (*self.frames, frame), self.spacing
        while len(crops) > 1 + HISTORY:
            spacing *= 2
            kept = [place for place, at in enumerate(frames) if at % spacing == 0]
            crops, frames = tuple(crops[place] for place in kept), tuple(frames[place] for place in kept)
        return TemplateMemory(crops, frames, spacing)

    def choose(self, n: int, next_frame: int) -> tuple[Tensor, ...]:
        """At most `n + 1` crops for the search in frame `next_frame`.

        All that is stored while that is no more than `n + 1`; later the first and, of each of `n` equal segments of the
        history, the crop nearest to its middle (frame 100 with n = 3: 0, 16, 49, 82, as the published code does).
        """
        if len(self.crops) <= n + 1:
            return self.crops
        if n == 0:
            return self.crops[:1]
        segment = next_frame // n
        wanted = [segment * place + segment // 2 for place in range(n)]
        return (self.crops[0], *(self.crops[nearest(self.frames, at)] for at in wanted))


def nearest(frames: Sequence[int], wanted: int) -> int:
    """Place in the sorted `frames` of the value nearest to `wanted`, the earlier of two."""
    return min(range(len(frames)), key=lambda place: abs(frames[place] - wanted))
