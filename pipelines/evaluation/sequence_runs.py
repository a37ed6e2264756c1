"""What one task of an evaluation is: a sequence with all its runs, how its frames are read, what it reports."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SSTrackError
from pipelines.evaluation.content import stamp
from pipelines.frames import read_image
from sstrack.benchmarks.metrics.vot_anchor import anchor_frames, anchors_of
from sstrack.benchmarks.sequence import Sequence


@dataclass(frozen=True)
class SequenceRuns:
    """One sequence to track, all runs of it that its protocol asks for."""

    sequence: Sequence
    other: Sequence | None
    """The sequence whose first frame gives the template, for the control `swapped`."""
    repetitions: int = 1
    again: bool = False
    """Track what is there once more."""
    stamp: str = ""
    """Of the frames when it was settled under which content the result is kept."""

    @property
    def name(self) -> str:
        """The sequence's name."""
        return self.sequence.name

    def __len__(self) -> int:
        """Frames to track over all runs."""
        return sum(self.runs.values())

    @property
    def runs(self) -> dict[int, int]:
        """Frames of each run: by anchor frame, or by repetition from 1."""
        truth = self.sequence.truth
        if truth.anchors is not None:
            return {anchor: len(anchor_frames(truth, anchor)) for anchor in anchors_of(truth)}
        return {number: len(self.sequence) for number in range(1, self.repetitions + 1)}


@dataclass(frozen=True)
class Advance:
    """What a piece has done since it last said so."""

    frames: int = 0
    """Frames tracked, or known not to be needed."""
    ended: str = ""
    """A sequence that is done with, if any."""
    failure: str = ""
    """Why it could not be tracked."""


class FrameError(SSTrackError):
    """A sequence cannot be tracked because of what one of its frames holds; others can."""


def check_unchanged(task: SequenceRuns) -> None:
    """FrameError if frames were written since the task was made: what was tracked belongs to no known content."""
    try:
        same = stamp(task.sequence.frames) == task.stamp
    except OSError:
        same = False
    if not same:
        raise FrameError("its frames changed while it was tracked; run again when nothing writes to them any more")


def read_frame(frame: Path) -> NDArray[np.uint8]:
    """A sequence's frame [H, W, 3]; FrameError when the file is no image."""
    try:
        return read_image(frame)
    except ValueError as error:
        raise FrameError(str(error)) from error
