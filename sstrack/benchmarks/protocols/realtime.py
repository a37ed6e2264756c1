"""Simulated real time: frames arrive at a fixed rate whether the tracker is ready or not."""

from dataclasses import dataclass
from typing import Any

from sstrack.benchmarks.protocols.base import Answer, Clock, Frame, Runner, clock

GRACE = 3
"""Frames after each start that wait for the tracker, as in VOT's real-time experiments."""


@dataclass(frozen=True)
class _State:
    inner: Any
    answer: Answer
    arrived: int
    """Frames since the start."""
    busy_until: float
    """Seconds since the start, on the simulated clock."""


@dataclass(frozen=True)
class _Given:
    box: tuple[float, float, float, float]


class RealTime:
    """A tracker that is asked at `fps`: on frames that arrive while it is busy, its last answer stands.

    An answer that took too long still counts for the frame it was computed on, as in the VOT toolkits; the frames that
    came meanwhile pay. The first `grace` frames after a start wait. Wraps any tracker, so it goes with every protocol.
    """

    def __init__(self, tracker: Runner, fps: float, grace: int = GRACE, now: Clock = clock) -> None:
        if fps <= 0:
            raise ValueError(f"real time needs a rate above 0 frames per second, got {fps}")
        self._tracker = tracker
        self._interval = 1 / fps
        self._grace = grace
        self._now = now

    def start(self, frame: Frame, box: Any, /) -> _State:
        """Begin; the time this takes is not held against the tracker."""
        x, y, w, h = (float(value) for value in box)
        return _State(self._tracker.start(frame, box), _Given((x, y, w, h)), 0, 0.0)

    def step(self, state: _State, frame: Frame, /) -> tuple[_State, Answer]:
        """The tracker's answer, or its last one if it is still busy with an earlier frame."""
        arrived = state.arrived + 1
        at = arrived * self._interval
        if arrived > self._grace and state.busy_until > at:
            return _State(state.inner, state.answer, arrived, state.busy_until), state.answer
        begun = self._now()
        inner, answer = self._tracker.step(state.inner, frame)
        spent = self._now() - begun
        busy_until = at if arrived <= self._grace else at + spent
        return _State(inner, answer, arrived, busy_until), answer
