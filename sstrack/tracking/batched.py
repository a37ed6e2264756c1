"""Many sequences in one batch on one device: a slot that ends a sequence takes the next one (continuous batching).

Frames are read, and copied to a GPU, ahead of their time on a thread per slot, so that decoding and uploading overlap
with the network. Results equal the single
tracker's within float tolerance, whatever the number of slots and the order of sequences.
"""

import itertools
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sstrack.tracking.rgb import as_rgb
from sstrack.tracking.state import Prediction, TrackerState
from sstrack.tracking.tracker import Tracker

_END = object()


@dataclass(frozen=True)
class SequenceTask:
    """One target to be followed."""

    name: str
    box: ArrayLike
    """The target on the first frame, xywh in pixels, 0-based."""
    frames: Callable[[], Iterator[NDArray[Any]]]
    """Opens the sequence: its pictures in order, see `as_rgb`. Called and iterated on a reading thread."""
    other: tuple[NDArray[Any], ArrayLike] | None = None
    """See `Tracker.start`."""


@dataclass
class TrackedSequence:
    """A sequence that has ended."""

    name: str
    boxes: NDArray[np.float64]
    """`[N, 4]` xywh in pixels; the first is the given box."""
    scores: NDArray[np.float64]
    """`[N]` in 0..1; 1 on the first frame."""
    seconds: NDArray[np.float64]
    """`[N]` time of each frame's batch over the sequences in it: what the frame cost, not how long it took."""
    error: Exception | None = None
    """What ended it early, raised by its frames or by the tracker; the rows before it are good."""


@dataclass(frozen=True)
class Turn:
    """The next frame of one sequence."""

    frame: NDArray[Any] | torch.Tensor
    """See `Tracker.step_many`."""
    state: TrackerState | None = None
    """None at a sequence's first frame."""
    box: ArrayLike | None = None
    """The target on the first frame, see `Tracker.start`."""
    other: tuple[NDArray[Any], ArrayLike] | None = None
    """See `Tracker.start`."""


@dataclass(frozen=True)
class Advanced:
    """A sequence after its turn."""

    state: TrackerState
    prediction: Prediction
    """At the first frame the given box with score 1."""
    seconds: float
    """What a first frame took; of a later one the batch's time over the sequences that stepped in it."""


@dataclass
class _Slot:
    task: SequenceTask
    feed: "_Feed"
    state: TrackerState | None = None
    rows: list[tuple[float, ...]] = field(default_factory=list[tuple[float, ...]])


class BatchedTracker:
    """Tracks any number of sequences, `slots` at a time."""

    def __init__(self, tracker: Tracker, slots: int, read_ahead: int = 4) -> None:
        """`read_ahead` is the number of decoded frames each slot may hold. Raises ValueError for numbers below 1."""
        if slots < 1 or read_ahead < 1:
            raise ValueError(f"slots={slots}, read_ahead={read_ahead}: both must be at least 1")
        self.tracker, self.slots, self.read_ahead = tracker, slots, read_ahead

    def run(self, tasks: Iterable[SequenceTask]) -> Generator[TrackedSequence]:
        """Track all tasks; each sequence is handed out as soon as it ends, so not in the order given.

        A sequence whose frames or first box are unusable ends with its `error` set; the others go on. Closing the
        iterator stops the reading threads.
        """
        waiting = iter(tasks)
        active: list[_Slot] = []
        try:
            while True:
                active += [self._open(task) for task in itertools.islice(waiting, self.slots - len(active))]
                if not active:
                    return
                ended = self._advance(active)
                active = [slot for slot in active if all(slot is not done for done, _ in ended)]
                for slot, error in ended:
                    slot.feed.stop()
                    yield _outcome(slot, error)
        finally:
            for slot in active:
                slot.feed.stop()

    def advance(self, turns: Sequence[Turn]) -> list[Advanced | Exception]:
        """One frame for each of these sequences, in one batch, for those who bring the frames themselves.

        Returns one outcome a turn in the same order: what is wrong with a frame or a first box is the outcome of its
        own sequence, and the others go on.
        """
        began = time.perf_counter()
        outcomes: dict[int, Advanced | Exception] = {}
        stepping: list[tuple[int, TrackerState, torch.Tensor]] = []
        for place, turn in enumerate(turns):
            try:
                if turn.state is None:
                    outcomes[place] = self._start(turn)
                else:
                    frame = turn.frame if isinstance(turn.frame, torch.Tensor) else torch.from_numpy(as_rgb(turn.frame))
                    self.tracker.check(turn.state, frame)
                    stepping.append((place, turn.state, frame))
            except Exception as error:  # noqa: BLE001 - one bad sequence must not end the others; handed out with it
                outcomes[place] = error
        if stepping:
            results = self.tracker.step_many([state for _, state, _ in stepping], [frame for *_, frame in stepping])
            share = (time.perf_counter() - began) / len(stepping)
            for (place, *_), (state, prediction) in zip(stepping, results, strict=True):
                outcomes[place] = Advanced(state, prediction, share)
        return [outcomes[place] for place in range(len(turns))]

    def _start(self, turn: Turn) -> Advanced:
        began = time.perf_counter()
        box = np.asarray(turn.box, np.float64)
        state = self.tracker.start(turn.frame, box, turn.other)
        x, y, w, h = box.tolist()
        return Advanced(state, Prediction((x, y, w, h), 1.0), time.perf_counter() - began)

    def _open(self, task: SequenceTask) -> _Slot:
        return _Slot(task, _Feed(task.frames, self.read_ahead, self.tracker.device))

    def _advance(self, active: list[_Slot]) -> list[tuple[_Slot, Exception | None]]:
        """One frame for every slot; returns those that ended, with what ended them."""
        ended: list[tuple[_Slot, Exception | None]] = []
        turns: list[tuple[_Slot, Turn]] = []
        began = time.perf_counter()
        for slot in active:
            try:
                frame = slot.feed.take()
            except Exception as error:  # noqa: BLE001 - one bad sequence must not end the others; handed out with it
                ended.append((slot, error))
                continue
            if frame is None:
                ended.append((slot, None if slot.rows else ValueError(f"{slot.task.name} has no frames")))
            else:
                turns.append((slot, Turn(frame, slot.state, slot.task.box, slot.task.other)))
        stepping = sum(turn.state is not None for _, turn in turns)
        waited = (time.perf_counter() - began) / max(1, stepping)
        for (slot, turn), outcome in zip(turns, self.advance([turn for _, turn in turns]), strict=True):
            if isinstance(outcome, Exception):
                ended.append((slot, outcome))
                continue
            slot.state = outcome.state
            seconds = outcome.seconds + (0.0 if turn.state is None else waited)
            slot.rows.append((*outcome.prediction.box, outcome.prediction.score, seconds))
        return ended


class _Feed:
    """Frames of one sequence, read on a thread of their own into a short queue."""

    def __init__(self, frames: Callable[[], Iterator[NDArray[Any]]], depth: int, device: torch.device) -> None:
        self._queue: queue.Queue[object] = queue.Queue(depth)
        self._device = device
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(frames,), daemon=True)
        self._thread.start()

    def take(self) -> torch.Tensor | None:
        """The next frame `[H, W, 3]` uint8 on the device, None at the end. Raises what reading it raised."""
        item = self._queue.get()
        if isinstance(item, Exception):
            raise item
        if not isinstance(item, torch.Tensor):
            return None
        if item.is_cuda:
            # Its memory belongs to the reading thread's stream, which must not use it again before this one is done.
            item.record_stream(torch.cuda.current_stream(item.device))
        return item

    def stop(self) -> None:
        """End the thread; frames read ahead are dropped."""
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                self._thread.join(timeout=0.05)

    def _read(self, frames: Callable[[], Iterator[NDArray[Any]]]) -> None:
        try:
            stream = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
            for frame in frames():
                self._queue.put(self._uploaded(torch.from_numpy(as_rgb(frame)), stream))
                if self._stopped.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised again where the frame is taken
            self._queue.put(error)
        else:
            self._queue.put(_END)

    def _uploaded(self, frame: torch.Tensor, stream: "torch.cuda.Stream | None") -> torch.Tensor:
        """`frame` on the device, its copy complete: only this thread waits for that."""
        if stream is None:
            return frame.to(self._device)
        with torch.cuda.stream(stream):
            copy = frame.pin_memory().to(self._device, non_blocking=True)
        stream.synchronize()
        return copy


def _outcome(slot: _Slot, error: Exception | None) -> TrackedSequence:
    table = np.array(slot.rows, dtype=np.float64).reshape(-1, 6)
    return TrackedSequence(slot.task.name, table[:, :4], table[:, 4], table[:, 5], error)
