"""One-pass sequences of a benchmark through one batch on one device; see `BatchedTracker`."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.results import ResultStore
from pipelines.evaluation.sequence_runs import Advance, FrameError, SequenceRuns, check_unchanged, read_frame
from sstrack.benchmarks.protocols.base import BoxRun
from sstrack.benchmarks.sequence import Sequence

if TYPE_CHECKING:
    from sstrack.tracking.batched import SequenceTask
    from sstrack.tracking.tracker import Tracker


def track_batched(
    tracker: "Tracker", runs: list[tuple[SequenceRuns, int]], store: ResultStore, slots: int
) -> Iterator[Advance]:
    """Track these runs, `slots` at a time, keep each as soon as it ends, and say so.

    Times are what a frame cost (its batch's time over the sequences in it). A sequence that cannot be tracked ends with
    its reason; the others go on.
    """
    from sstrack.tracking.batched import BatchedTracker

    named = {f"{task.name}/{number}": (task, number) for task, number in runs}
    left = Counter(task.name for task, _ in runs)
    failed: set[str] = set()
    without: dict[str, str] = {}

    def waiting() -> "Iterator[SequenceTask]":
        for name, (task, _) in named.items():
            if task.name in failed or task.name in without:
                continue
            try:
                yield _sequence_task(name, task)
            except FrameError as error:  # of the sequence that gives the template
                without[task.name] = str(error)

    for done in BatchedTracker(tracker, slots).run(waiting()):
        task, number = named[done.name]
        try:
            if done.error is not None:
                raise done.error
            check_unchanged(task)
        except (FrameError, ValueError) as error:
            if task.name not in failed:
                failed.add(task.name)
                yield Advance(0, task.name, str(error))
            continue
        store.write(task.sequence, number, BoxRun(done.boxes, done.seconds))
        left[task.name] -= 1
        yield Advance(len(done.boxes), "" if left[task.name] else task.name)
    for name, reason in without.items():
        yield Advance(0, name, reason)


def _sequence_task(name: str, task: SequenceRuns) -> "SequenceTask":
    from sstrack.tracking.batched import SequenceTask

    other = None if task.other is None else (read_frame(task.other.frames[0]), task.other.first_box)
    return SequenceTask(name, task.sequence.first_box, partial(_frames, task.sequence), other)


def _frames(sequence: Sequence) -> Iterator[NDArray[np.uint8]]:
    return map(read_frame, sequence.frames)
