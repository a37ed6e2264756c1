"""The thread that owns the network: who waits advances, who does not is not waited for."""

import threading
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.serving.batcher import Batcher, Lane
from pipelines.serving.metrics import Metrics
from pipelines.serving.refusals import Refusal
from sstrack.configs.tracking import TrackingConfig
from sstrack.models.tracker_net import TrackerNet
from sstrack.recipes import recipe
from sstrack.tracking.tracker import Tracker

BOX = (30.0, 20.0, 24.0, 20.0)
FRAME = np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8)


class Gate:
    """A tracker that steps when it is let, and tells how many sequences it stepped."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self._tracker = Tracker(TrackerNet(recipe("tiny_cpu").net), TrackingConfig(memory=1))
        self.open = threading.Event()
        self.entered = threading.Event()
        self.batches: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracker, name)

    def step_many(self, states: Any, frames: Any) -> Any:
        self.entered.set()
        assert self.open.wait(60)
        self.batches.append(len(states))
        if len(states) == 5:
            raise RuntimeError("no memory for five")
        return self._tracker.step_many(states, frames)


@pytest.fixture
def gate() -> Gate:
    return Gate()


def begun(batcher: Batcher, count: int) -> list[Lane]:
    lanes = [Lane("live") for _ in range(count)]
    for lane in lanes:
        assert batcher.put(lane, FRAME, BOX).result(60).box == BOX
    return lanes


def test_those_who_wait_advance_together_and_nobody_waits_for_the_others(gate: Gate) -> None:
    with Batcher(gate, 3, Metrics()) as batcher:  # pyright: ignore[reportArgumentType] - a tracker by its methods
        *lanes, _silent = begun(batcher, 5)
        first = batcher.put(lanes[0], FRAME)
        assert gate.entered.wait(60)
        later = [batcher.put(lane, FRAME) for lane in (*lanes[1:], lanes[0], lanes[0])]
        gate.open.set()
        answers = [one.result(60) for one in (first, *later)]
    assert gate.batches == [1, 3, 1, 1]
    assert [answer.frame for answer in answers] == [1, 1, 1, 1, 2, 3]


def test_a_network_that_fails_ends_its_batch_and_not_the_server(gate: Gate) -> None:
    with Batcher(gate, 5, Metrics()) as batcher:  # pyright: ignore[reportArgumentType] - a tracker by its methods
        lanes = begun(batcher, 6)
        last = batcher.put(lanes[5], FRAME)
        assert gate.entered.wait(60)
        failing = [batcher.put(lane, FRAME) for lane in lanes[:5]]
        gate.open.set()
        assert last.result(60).frame == 1
        for one in failing:
            with pytest.raises(Refusal, match="log"):
                one.result(60)
        assert batcher.put(lanes[5], FRAME).result(60).frame == 2 and batcher.alive


def test_closing_drops_what_waits_and_stopping_refuses_it(gate: Gate) -> None:
    with Batcher(gate, 2, Metrics()) as batcher:  # pyright: ignore[reportArgumentType] - a tracker by its methods
        one, other = begun(batcher, 2)
        running = batcher.put(one, FRAME)
        assert gate.entered.wait(60)
        waiting, behind = batcher.put(other, FRAME), batcher.put(one, FRAME)
        batcher.close(other)
        gate.open.set()
        with pytest.raises(CancelledError):
            waiting.result(60)
        assert running.result(60).frame == 1 and behind.result(60).frame == 2
        assert other.state is None
        batcher.stop()
        with pytest.raises(Refusal) as refused:
            batcher.put(one, FRAME).result(60)
        assert refused.value.status == 503 and not batcher.alive
