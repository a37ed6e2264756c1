"""What a tracker carries from frame to frame, and what it says about each."""

from dataclasses import dataclass

from torch import Tensor

from sstrack.tracking.memory import TemplateMemory


@dataclass(frozen=True)
class Prediction:
    """Where the target is."""

    box: tuple[float, float, float, float]
    """xywh in pixels of the frame, 0-based."""
    score: float
    """Height of the score map at the chosen cell, 0..1: how sure the network is that the target is there."""
    absent: bool = False
    """The score lies below `TrackingConfig.absent_below`: the target is probably hidden or out of view."""
    redetected: bool = False
    """The box comes from a search of the whole frame, see `TrackingConfig.redetect_below`."""


@dataclass(frozen=True)
class TrackerState:
    """All that one sequence carries from frame to frame. Immutable: a state may be kept and stepped from again."""

    box: Tensor
    """`[4]` last box, xywh in pixels, on the tracker's device."""
    memory: TemplateMemory
    query: Tensor
    """`[C]` query output of the last frame; zero at the start, and wherever it starts afresh."""
    frame: int
    """Index of the last frame seen; the first is 0."""
    size: tuple[int, int]
    """Width and height of the sequence's frames in pixels."""
    unsure: int = 0
    """How many of the last frames in a row scored below `TrackingConfig.redetect_below`."""
