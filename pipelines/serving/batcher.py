"""The one thread that owns the network: all sessions that have a frame waiting advance together in one batch.

A session that has none waiting is not waited for. More waiting sessions than a batch takes are served in turn.
"""

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.serving.metrics import Metrics
from pipelines.serving.refusals import Refusal, stopping

if TYPE_CHECKING:
    from sstrack.tracking.state import TrackerState
    from sstrack.tracking.tracker import Tracker

log = logging.getLogger(__name__)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Answer:
    """Where the target is in one frame."""

    frame: int
    """Index in its session, the first is 0."""
    box: Box
    """xywh in pixels, 0-based; of the first frame the given one."""
    score: float
    """0..1; 1 on the first frame."""
    absent: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, rounded as the command `track` does."""
        box = [round(value, 3) for value in self.box]
        return {"frame": self.frame, "box": box, "score": round(self.score, 4), "absent": self.absent}


@dataclass
class _Waiting:
    frame: NDArray[np.uint8]
    box: Box | None
    answer: "Future[Answer]"
    came: float = field(default_factory=time.perf_counter)


@dataclass(eq=False)
class Lane:
    """One session's way to the network. Its frames are answered in their order."""

    way: str
    """What it is counted as, see `Metrics`."""
    state: "TrackerState | None" = None
    waiting: deque[_Waiting] = field(default_factory=deque[_Waiting])
    in_batch: bool = False
    closed: bool = False


class Batcher:
    """Use as a context: the thread runs inside of it. All methods may be called from any thread."""

    def __init__(self, tracker: "Tracker", most: int, metrics: Metrics) -> None:
        """At most `most` sessions advance in one batch."""
        from sstrack.tracking.batched import BatchedTracker

        self._batched = BatchedTracker(tracker, most)
        self._metrics = metrics
        self._wake = threading.Condition()
        self._ready: deque[Lane] = deque()
        """Lanes with a frame waiting that are not in a batch, the longest waiting first."""
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)

    def __enter__(self) -> "Batcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether frames are answered."""
        return self._thread.is_alive() and not self._stopped

    def put(self, lane: Lane, frame: NDArray[np.uint8], box: Box | None = None) -> "Future[Answer]":
        """The next frame `[H, W, 3]` RGB of a session, with the target's box if it is the first.

        The answer raises Refusal for a wrong box, a frame of another size, and when the server stops.
        """
        answer: Future[Answer] = Future()
        with self._wake:
            if self._stopped or lane.closed:
                answer.set_exception(stopping())
                return answer
            lane.waiting.append(_Waiting(frame, box, answer))
            if len(lane.waiting) == 1 and not lane.in_batch:
                self._ready.append(lane)
                self._wake.notify()
        return answer

    def close(self, lane: Lane) -> None:
        """End a session: what waits of it is dropped, and what it holds is freed."""
        with self._wake:
            lane.closed = True
            lane.state = None
            dropped = [lane.waiting.popleft() for _ in range(len(lane.waiting))]
            if lane in self._ready:
                self._ready.remove(lane)
        for one in dropped:
            one.answer.cancel()

    def stop(self) -> None:
        """Refuse everything from now on, what is waiting included; the batch that runs is finished."""
        with self._wake:
            self._stopped = True
            dropped = [one for lane in self._ready for one in lane.waiting]
            for lane in self._ready:
                lane.waiting.clear()
            self._ready.clear()
            self._wake.notify()
        _refuse(dropped)

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._ready and not self._stopped:
                    self._wake.wait()
                if self._stopped:
                    return
                lanes = [self._ready.popleft() for _ in range(min(self._batched.slots, len(self._ready)))]
                turns = [(lane, lane.state, lane.waiting.popleft()) for lane in lanes]
                for lane in lanes:
                    lane.in_batch = True
            self._advance([turn for turn in turns if turn[2].answer.set_running_or_notify_cancel()])
            dropped: list[_Waiting] = []
            with self._wake:
                for lane in lanes:
                    lane.in_batch = False
                    if self._stopped:
                        dropped += lane.waiting
                        lane.waiting.clear()
                    elif lane.waiting:
                        self._ready.append(lane)
            _refuse(dropped)

    def _advance(self, turns: "list[tuple[Lane, TrackerState | None, _Waiting]]") -> None:
        from sstrack.tracking.batched import Turn

        if not turns:
            return
        began = time.perf_counter()
        try:
            outcomes = self._batched.advance([Turn(one.frame, state, one.box) for _, state, one in turns])
        except Exception as error:
            log.exception("a batch of %d frames failed", len(turns))
            outcomes = [error] * len(turns)
        self._metrics.batch(len(turns), time.perf_counter() - began)
        for (lane, _, one), outcome in zip(turns, outcomes, strict=True):
            if isinstance(outcome, ValueError):
                one.answer.set_exception(Refusal(422, "box" if one.box else "frame", str(outcome)))
            elif isinstance(outcome, Exception):
                one.answer.set_exception(Refusal(500, "failed", "the network failed on this frame; the log says how"))
            else:
                with self._wake:
                    lane.state = None if lane.closed else outcome.state
                self._metrics.answered(lane.way, time.perf_counter() - one.came)
                found = outcome.prediction
                one.answer.set_result(Answer(outcome.state.frame, found.box, found.score, found.absent))


def _refuse(dropped: list[_Waiting]) -> None:
    for one in dropped:
        if one.answer.set_running_or_notify_cancel():
            one.answer.set_exception(stopping())
