"""Protocols with a tracker whose answers are known: where it starts, what it is shown, what is kept."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sstrack.benchmarks.protocols.base import Frame
from sstrack.benchmarks.protocols.one_pass import run_one_pass
from sstrack.benchmarks.protocols.realtime import RealTime
from sstrack.benchmarks.protocols.vot_anchor import run_from_anchor
from sstrack.benchmarks.protocols.vot_reset import run_with_resets
from sstrack.benchmarks.regions import polygon_regions
from sstrack.benchmarks.sequence import Sequence, Truth


@dataclass(frozen=True)
class Answer:
    box: tuple[float, float, float, float]


@dataclass
class Scripted:
    """Answers with the number of the frame it sees as x; loses the target on the frames in `lost`."""

    lost: tuple[int, ...] = ()
    takes: float = 0.0
    clock: list[float] = field(default_factory=lambda: [0.0])
    seen: list[str] = field(default_factory=list)

    def start(self, frame: Frame, box: Any, /) -> Any:
        self.seen.append(f"start {frame[0, 0, 0]} at {float(box[0]):g}")
        return "state"

    def step(self, state: Any, frame: Frame, /) -> tuple[Any, Answer]:
        number = int(frame[0, 0, 0])
        self.clock[0] += self.takes
        self.seen.append(str(number))
        return state, Answer((500.0 if number in self.lost else float(number), 10.0, 20.0, 20.0))


def load(path: Path) -> Frame:
    return np.full((4, 4, 3), int(path.stem), dtype=np.uint8)


def sequence(count: int, anchors: dict[int, int] | None = None) -> Sequence:
    """A 20 x 20 target that moves one pixel to the right per frame."""
    x = np.arange(count, dtype=np.float64)
    corners = np.stack([x, x * 0 + 10, x + 20, x * 0 + 10, x + 20, x * 0 + 30, x, x * 0 + 30], axis=1)
    regions = polygon_regions(corners)
    marks = np.zeros(count, dtype=np.int64)
    for frame, sign in (anchors or {}).items():
        marks[frame] = sign
    truth = Truth("s", regions.boxes, size=(640, 480), regions=regions, anchors=marks if anchors else None)
    return Sequence.of(truth, tuple(Path(f"{number}.jpg") for number in range(count)))


def test_one_pass_starts_once_and_keeps_the_given_box():
    tracker = Scripted()
    run = run_one_pass(tracker, sequence(5), load)
    assert tracker.seen == ["start 0 at 0", "1", "2", "3", "4"]
    assert run.boxes[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert len(run.seconds) == 5


def test_a_failure_is_skipped_and_started_again_five_frames_on():
    tracker = Scripted(lost=(3, 12))
    run = run_with_resets(tracker, sequence(20), load).regions
    assert run.codes.tolist() == [1, -1, -1, 2, 0, 0, 0, 0, 1, -1, -1, -1, 2, 0, 0, 0, 0, 1, -1, -1]
    assert [line for line in tracker.seen if "start" in line] == ["start 0 at 0", "start 8 at 8", "start 17 at 17"]
    assert "5" not in tracker.seen


def test_a_failure_near_the_end_is_not_started_again():
    run = run_with_resets(Scripted(lost=(7,)), sequence(10), load).regions
    assert run.codes.tolist() == [1, *([-1] * 6), 2, 0, 0]


def test_anchors_run_forward_to_the_end_and_backward_to_the_start():
    tracker = Scripted()
    clip = sequence(8, {2: 1, 5: -1})
    forward, backward = (run_from_anchor(tracker, clip, at, load).regions for at in (2, 5))
    assert tracker.seen == ["start 2 at 2", "3", "4", "5", "6", "7", "start 5 at 5", "4", "3", "2", "1", "0"]
    assert forward.codes.tolist() == backward.codes.tolist() == [1, -1, -1, -1, -1, -1]


def test_real_time_repeats_the_last_answer_while_the_tracker_is_busy():
    tracker = Scripted(takes=0.25)
    hasty = RealTime(tracker, fps=10, grace=2, now=lambda: tracker.clock[0])
    run = run_one_pass(hasty, sequence(12), load)
    # Two frames wait; the third takes 0.25 s, so the two that arrive meanwhile get its answer, and so on.
    assert tracker.seen[1:] == ["1", "2", "3", "6", "9"]
    assert run.boxes[:, 0].tolist() == [0, 1, 2, 3, 3, 3, 6, 6, 6, 9, 9, 9]
    calm = Scripted(takes=0.05)
    whole = run_one_pass(RealTime(calm, fps=10, now=lambda: calm.clock[0]), sequence(12), load)
    assert whole.boxes[:, 0].tolist() == list(range(12))
    with pytest.raises(ValueError, match="above 0"):
        RealTime(tracker, fps=0)
