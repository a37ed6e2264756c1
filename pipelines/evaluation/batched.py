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
    from sstrack.tracking.batched import SequenceJob
    from sstrack.tracking.tracker import Tracker


def track_batched(
    tracker: "Tracker", runs: list[tuple[SequenceRuns, int]], store: ResultStore, slots: int
) -> Iterator[Advance]:
    """Track these runs, `slots` at a time, keep each as soon as it ends, and say so.

    Times are what a frame cost (its batch's time over the sequences in it). A sequence that cannot be tracked ends with
    its reason; the others go on.
    """
    from sstrack.tracking.batched import BatchedTracker

    named = {f"{job.name}/{number}": (job, number) for job, number in runs}
    left = Counter(job.name for job, _ in runs)
    failed: set[str] = set()
    without: dict[str, str] = {}

    def waiting() -> "Iterator[SequenceJob]":
        for name, (job, _) in named.items():
            if job.name in failed or job.name in without:
                continue
            try:
                yield _sequence_job(name, job)
            except FrameError as error:  # of the sequence that gives the template
                without[job.name] = str(error)

    for done in BatchedTracker(tracker, slots).run(waiting()):
        job, number = named[done.name]
        try:
            if done.error is not None:
                raise done.error
            check_unchanged(job)
        except (FrameError, ValueError) as error:
            if job.name not in failed:
                failed.add(job.name)
                yield Advance(0, job.name, str(error))
            continue
        store.write(job.sequence, number, BoxRun(done.boxes, done.seconds))
        left[job.name] -= 1
        yield Advance(len(done.boxes), "" if left[job.name] else job.name)
    for name, reason in without.items():
        yield Advance(0, name, reason)


def _sequence_job(name: str, job: SequenceRuns) -> "SequenceJob":
    from sstrack.tracking.batched import SequenceJob

    other = None if job.other is None else (read_frame(job.other.frames[0]), job.other.first_box)
    return SequenceJob(name, job.sequence.first_box, partial(_frames, job.sequence), other)


def _frames(sequence: Sequence) -> Iterator[NDArray[np.uint8]]:
    return map(read_frame, sequence.frames)
