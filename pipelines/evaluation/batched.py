"""One-pass sequences of a benchmark through one batch on one device; see `BatchedTracker`."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SSTrackError
from pipelines.evaluation.jobs import TrackJob, read_frame
from pipelines.evaluation.results import ResultStore
from sstrack.benchmarks.protocols.base import BoxRun
from sstrack.benchmarks.sequence import Sequence

if TYPE_CHECKING:
    from sstrack.tracking.batched import SequenceJob
    from sstrack.tracking.tracker import Tracker


def track_batched(
    tracker: "Tracker", runs: list[tuple[TrackJob, int]], store: ResultStore, slots: int, ended: Callable[[int], None]
) -> None:
    """Track these runs, `slots` at a time, and keep each as soon as it ends.

    Times are what a frame cost (its batch's time over the sequences in it). `ended` is called with the number of
    sequences that ended so far. Raises SSTrackError at the first sequence that cannot be tracked; runs that ended
    before are kept.
    """
    from sstrack.tracking.batched import BatchedTracker

    named = {f"{job.name}/{number}": (job, number) for job, number in runs}
    left = Counter(job.name for job, _ in runs)
    waiting = (_sequence_job(name, job) for name, (job, _) in named.items())
    for done in BatchedTracker(tracker, slots).run(waiting):
        job, number = named[done.name]
        if done.error is not None:
            raise SSTrackError(f"{job.name}: {done.error}") from done.error
        store.write(job.sequence, number, BoxRun(done.boxes, done.seconds))
        left[job.name] -= 1
        ended(sum(count == 0 for count in left.values()))


def _sequence_job(name: str, job: TrackJob) -> "SequenceJob":
    from sstrack.tracking.batched import SequenceJob

    other = None if job.other is None else (read_frame(job.other.frames[0]), job.other.first_box)
    return SequenceJob(name, job.sequence.first_box, partial(_frames, job.sequence), other)


def _frames(sequence: Sequence) -> Iterator[NDArray[np.uint8]]:
    return map(read_frame, sequence.frames)
