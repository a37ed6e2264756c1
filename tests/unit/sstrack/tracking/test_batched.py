"""Batched tracking: the same boxes as one by one, for any number of slots; a bad sequence ends alone."""

import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sstrack.configs.tracking import TrackingConfig
from sstrack.models.tracker_net import TrackerNet
from sstrack.recipes import recipe
from sstrack.tracking.batched import BatchedTracker, SequenceTask, Turn
from sstrack.tracking.tracker import Tracker

BOX = (30.0, 20.0, 24.0, 20.0)


@pytest.fixture(scope="module")
def tracker() -> Tracker:
    torch.manual_seed(0)
    return Tracker(TrackerNet(recipe("tiny_cpu").net), TrackingConfig(memory=2))


def pictures(seed: int, n: int, width: int = 100) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(seed).integers(0, 255, (n, 80, width, 3), dtype=np.uint8))


def task(seed: int, n: int, width: int = 100) -> SequenceTask:
    return SequenceTask(f"s{seed}", BOX, partial(iter, pictures(seed, n, width)))


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_batched_equals_one_by_one(tracker: Tracker, slots: int) -> None:
    lengths = {1: 6, 2: 1, 3: 4, 4: 5, 5: 2}  # short: an untrained network amplifies the last bits
    tasks = [task(seed, n, width=100 if seed != 3 else 120) for seed, n in lengths.items()]
    done = {ended.name: ended for ended in BatchedTracker(tracker, slots).run(tasks)}
    assert set(done) == {one.name for one in tasks}
    for seed, n in lengths.items():
        frames = pictures(seed, n, width=100 if seed != 3 else 120)
        state, expected = tracker.start(frames[0], BOX), [(*BOX, 1.0)]
        for frame in frames[1:]:
            state, prediction = tracker.step(state, frame)
            expected.append((*prediction.box, prediction.score))
        ended = done[f"s{seed}"]
        assert ended.error is None and (ended.seconds > 0).all()
        np.testing.assert_allclose(np.column_stack([ended.boxes, ended.scores]), expected, atol=0.02)


def test_several_targets_of_one_frame_share_it(tracker: Tracker) -> None:
    frames = pictures(7, 4)
    boxes = [BOX, (5.0, 5.0, 30.0, 30.0)]
    states = [tracker.start(frames[0], box) for box in boxes]
    for frame in frames[1:]:
        stepped = tracker.step_many(states, [frame, frame])
        alone = [tracker.step(state, frame)[1] for state in states]
        for (_, together), one in zip(stepped, alone, strict=True):
            np.testing.assert_allclose(together.box, one.box, atol=2e-3)
        states = [state for state, _ in stepped]


def test_a_bad_sequence_ends_alone_and_says_why(tracker: Tracker) -> None:
    def breaks() -> Iterator[NDArray[np.uint8]]:
        yield from pictures(2, 3)
        raise OSError("frame 3 is unreadable")

    tasks = [
        task(1, 6),
        SequenceTask("breaks", BOX, breaks),
        SequenceTask("outside", (500, 500, 9, 9), partial(iter, pictures(3, 4))),
        SequenceTask("empty", BOX, partial(iter, [])),
        SequenceTask("resized", BOX, partial(iter, [*pictures(4, 2), *pictures(5, 1, width=50)])),
    ]
    done = {ended.name: ended for ended in BatchedTracker(tracker, 4).run(tasks)}
    assert done["s1"].error is None and len(done["s1"].boxes) == 6
    assert isinstance(done["breaks"].error, OSError) and len(done["breaks"].boxes) == 3
    assert "outside the 100x80 frame" in str(done["outside"].error) and len(done["outside"].boxes) == 0
    assert "no frames" in str(done["empty"].error)
    assert "began with 100x80" in str(done["resized"].error) and len(done["resized"].boxes) == 2


def test_whoever_brings_the_frames_advances_as_many_as_have_one(tracker: Tracker) -> None:
    batched, (first, second) = BatchedTracker(tracker, 4), pictures(1, 2)
    one, other, outside = batched.advance(
        [Turn(first, box=BOX), Turn(second, box=BOX), Turn(first, box=(500, 9, 9, 9))]
    )
    assert isinstance(outside, ValueError) and not isinstance(one, Exception) and not isinstance(other, Exception)
    assert one.prediction.box == BOX and one.prediction.score == 1 and one.state.frame == 0
    small = first[:40]
    stepped, wrong, begun = batched.advance([Turn(second, one.state), Turn(small, other.state), Turn(small, box=BOX)])
    assert isinstance(wrong, ValueError) and "began with 100x80" in str(wrong)
    assert not isinstance(begun, Exception) and begun.state.size == (100, 40)
    assert not isinstance(stepped, Exception) and stepped.state.frame == 1 and stepped.seconds > 0
    np.testing.assert_allclose(stepped.prediction.box, tracker.step(one.state, second)[1].box, atol=2e-3)


def test_closing_early_leaves_no_reading_thread(tracker: Tracker) -> None:
    def endless() -> Iterator[NDArray[np.uint8]]:
        picture = pictures(1, 1)[0]
        while True:
            yield picture

    before = threading.active_count()
    with closing(BatchedTracker(tracker, 2).run([SequenceTask("endless", BOX, endless), task(2, 3)])) as run:
        assert next(run).name == "s2"
    assert threading.active_count() == before


def test_wrong_numbers_are_refused(tracker: Tracker) -> None:
    with pytest.raises(ValueError, match="slots=0"):
        BatchedTracker(tracker, 0)
