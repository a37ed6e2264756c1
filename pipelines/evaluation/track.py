"""Track pieces of a benchmark: one model load, many sequences, each by the benchmark's protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SSTrackError
from pipelines.evaluation.results import ResultStore
from pipelines.frames import read_image
from pipelines.tracking.options import tracking_config
from sstrack.benchmarks.metrics.vot_anchor import anchor_frames, anchors_of
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
class TrackJob:
    """One sequence to track, all runs of it that its protocol asks for."""

    sequence: Sequence
    other: Sequence | None
    """The sequence whose first frame gives the template, for the control `swapped`."""
    repetitions: int = 1
    again: bool = False
    """Track what is there once more."""

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


def missing_runs(job: TrackJob, store: ResultStore) -> list[int]:
    """Runs of `job` that are not in the store; none once `EQUAL_RUNS` equal ones are there."""
    if job.again:
        return list(job.runs)
    missing = [number for number, frames in job.runs.items() if not store.has(job.name, frames, number)]
    return [] if missing and missing[0] > EQUAL_RUNS and _settled(job, store) else missing


def track_piece(
    package: Path, tracking: Mapping[str, Any], jobs: list[TrackJob], store: ResultStore, realtime: float | None
) -> None:
    """Load the model once, track each sequence from its first true box, keep the results."""
    import torch

    from sstrack.models.package import load_package
    from sstrack.tracking.tracker import Tracker

    torch.set_num_threads(1)
    net, recipe = load_package(package)
    tracker = Tracker(net, tracking_config(recipe.tracking, tracking))
    for job in jobs:
        runner: Runner = _Swapped(tracker, job.other) if job.other else tracker
        if realtime is not None:
            runner = RealTime(runner, realtime)
        for number in missing_runs(job, store):
            if number > EQUAL_RUNS and _settled(job, store):
                break
            store.write(job.sequence, number, _run(runner, job.sequence, number, store.protocol))


def _run(runner: Runner, sequence: Sequence, number: int, protocol: str) -> BoxRun | RegionRun:
    if protocol == "vot_reset":
        return run_with_resets(runner, sequence, _read)
    if protocol == "vot_anchor":
        return run_from_anchor(runner, sequence, number, _read)
    return run_one_pass(runner, sequence, _read)


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
        return self._tracker.start(frame, box, (_read(self._other.frames[0]), self._other.first_box))

    def step(self, state: Any, frame: NDArray[np.uint8], /) -> Any:
        return self._tracker.step(state, frame)


def _read(frame: Path) -> NDArray[np.uint8]:
    try:
        return read_image(frame)
    except ValueError as error:
        raise SSTrackError(f"{error}; replace the file, finished sequences are kept") from error
