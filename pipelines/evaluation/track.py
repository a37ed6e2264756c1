"""Track pieces of a benchmark: one model load, many sequences, each by the benchmark's protocol."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.batched import track_batched
from pipelines.evaluation.jobs import TrackJob, read_frame
from pipelines.evaluation.results import ResultStore
from pipelines.tracking.options import tracking_config
from sstrack.benchmarks.protocols.base import BoxRun, RegionRun, Runner
from sstrack.benchmarks.protocols.one_pass import run_one_pass
from sstrack.benchmarks.protocols.realtime import RealTime
from sstrack.benchmarks.protocols.vot_anchor import run_from_anchor
from sstrack.benchmarks.protocols.vot_reset import run_with_resets
from sstrack.benchmarks.sequence import Sequence

if TYPE_CHECKING:
    from sstrack.tracking.tracker import Tracker


EQUAL_RUNS = 3
"""VOT's rule: after this many equal runs the tracker is deterministic and no more are made."""


@dataclass(frozen=True)
class Place:
    """Where sequences are tracked."""

    device: str = "cpu"
    """As torch takes it."""
    batch: int = 1
    """Sequences that go through the network together."""


def missing_runs(job: TrackJob, store: ResultStore) -> list[int]:
    """Runs of `job` that are not in the store; none once `EQUAL_RUNS` equal ones are there."""
    if job.again:
        return list(job.runs)
    missing = [number for number, frames in job.runs.items() if not store.has(job.name, frames, number)]
    return [] if missing and missing[0] > EQUAL_RUNS and _settled(job, store) else missing


def track_piece(
    package: Path,
    tracking: Mapping[str, Any],
    jobs: list[TrackJob],
    store: ResultStore,
    realtime: float | None,
    place: Place,
    ended: Callable[[int], None] = lambda _: None,
) -> None:
    """Load the model once, track each sequence from its first true box, keep the results.

    With more than one sequence in `place.batch`, one-pass runs outside simulated real time go through the network
    together. `ended` is called with the number of sequences that ended so far.
    """
    import torch

    from sstrack.models.package import load_package
    from sstrack.tracking.tracker import Tracker

    torch.set_num_threads(1)
    net, recipe = load_package(package, place.device)
    tracker = Tracker(net, tracking_config(recipe.tracking_as_trained, tracking))
    todo = [(job, missing_runs(job, store)) for job in jobs]
    if place.batch > 1 and store.protocol == "one_pass" and realtime is None:
        first = [(job, number) for job, numbers in todo for number in numbers if number <= EQUAL_RUNS]
        track_batched(tracker, first, store, place.batch, ended)
        todo = [(job, [number for number in numbers if number > EQUAL_RUNS]) for job, numbers in todo]
        ended = lambda _: None  # noqa: E731 - what is left are repetitions of sequences that are counted
    for count, (job, numbers) in enumerate(todo, start=1):
        runner: Runner = _Swapped(tracker, job.other) if job.other else tracker
        if realtime is not None:
            runner = RealTime(runner, realtime)
        for number in numbers:
            if number > EQUAL_RUNS and _settled(job, store):
                break
            store.write(job.sequence, number, _run(runner, job.sequence, number, store.protocol))
        ended(count)


def _run(runner: Runner, sequence: Sequence, number: int, protocol: str) -> BoxRun | RegionRun:
    if protocol == "vot_reset":
        return run_with_resets(runner, sequence, read_frame)
    if protocol == "vot_anchor":
        return run_from_anchor(runner, sequence, number, read_frame)
    return run_one_pass(runner, sequence, read_frame)


def _settled(job: TrackJob, store: ResultStore) -> bool:
    """Whether the first repetitions are equal. Anchors are different runs, not repetitions."""
    if job.sequence.truth.anchors is not None:
        return False
    first = store.raw(job.name, 1)
    return all(store.raw(job.name, number) == first for number in range(2, EQUAL_RUNS + 1))


class _Swapped:
    """The control that is started with another sequence's template."""

    def __init__(self, tracker: "Tracker", other: Sequence) -> None:
        self._tracker = tracker
        self._other = other

    def start(self, frame: NDArray[np.uint8], box: Any, /) -> Any:
        return self._tracker.start(frame, box, (read_frame(self._other.frames[0]), self._other.first_box))

    def step(self, state: Any, frame: NDArray[np.uint8], /) -> Any:
        return self._tracker.step(state, frame)
