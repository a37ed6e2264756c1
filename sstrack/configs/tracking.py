"""The tracker's configuration."""

from dataclasses import dataclass
from typing import Literal

from sstrack.bounds import check


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """How the trained network tracks."""

    hann: float = 1.0
    """Weight of the Hann window on the score map: 1 multiplies by the whole window (published), 0 leaves it out."""
    memory: int = 2
    """Memory templates beside the first one: midpoints of equal segments of the history (published: 3)."""
    templates: Literal["normal", "zeroed", "swapped"] = "normal"
    """Controls that show how much the tracker looks at its target: `zeroed` blanks every template, `swapped` uses only
    the first template of another sequence."""

    carry_frames: int | None = None
    """Frames in a row that the query is handed on before it starts afresh; 0: never, so that frames share nothing but
    templates. None: as many as in the network's training, see `Recipe.tracking_as_trained`; a network that was trained
    without, or over few frames, loses its target when the query travels on and on (published: for the whole video)."""
    remember_above: float = 0.0
    """Only predictions with at least this score become memory templates (published: all, 0)."""
    smooth_size: float = 0.0
    """Share of the last box's width and height that the next box keeps (published: none). The centre is never smoothed:
    a box that lags loses fast targets."""
    redetect_below: float = 0.0
    """A target that scores less than this for `redetect_after` frames in a row is searched for in the whole frame with
    the global search it was trained with (published: never, 0)."""
    redetect_after: int = 5
    """Unsure frames in a row before the whole frame is searched."""
    absent_below: float = 0.0
    """Predictions with a lower score are reported as absent; their boxes stay the best guess."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the network; bfloat16 is for GPUs that are fast in it."""

    def __post_init__(self) -> None:
        check(0.0 <= self.hann <= 1.0, self, "hann", "must lie in 0..1")
        check(0 <= self.memory <= 16, self, "memory", "must lie in 0..16")
        if self.carry_frames is not None:
            check(0 <= self.carry_frames <= 10**9, self, "carry_frames", "must lie in 0..1000000000")
        check(0.0 <= self.remember_above < 1.0, self, "remember_above", "must lie in 0..1, 1 left out")
        check(0.0 <= self.smooth_size < 1.0, self, "smooth_size", "must lie in 0..1, 1 left out")
        check(0.0 <= self.redetect_below < 1.0, self, "redetect_below", "must lie in 0..1, 1 left out")
        check(1 <= self.redetect_after <= 1000, self, "redetect_after", "must lie in 1..1000")
        check(0.0 <= self.absent_below < 1.0, self, "absent_below", "must lie in 0..1, 1 left out")
