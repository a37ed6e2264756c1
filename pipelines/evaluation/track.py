"""Track pieces of a benchmark: one model load a process, many sequences, each by the benchmark's protocol."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SSTrackError
from pipelines.evaluation.batched import track_batched
from pipelines.evaluation.results import ResultStore
from pipelines.evaluation.sequence_runs import Advance, FrameError, SequenceRuns, check_unchanged, read_frame
from pipelines.threads import use_threads
from pipelines.tracking.options import tracking_config
from sstrack.benchmarks.protocols.base import BoxRun, Load, RegionRun, Runner
from sstrack.benchmarks.protocols.one_pass import run_one_pass
from sstrack.benchmarks.protocols.realtime import RealTime
from sstrack.benchmarks.protocols.vot_anchor import run_from_anchor
from sstrack.benchmarks.protocols.vot_reset import run_with_resets
from sstrack.benchmarks.sequence import Sequence

if TYPE_CHECKING:
    from sstrack.tracking.tracker import Tracker


Run = BoxRun | RegionRun

_TELL_S = 5.0
EQUAL_RUNS = 3
"""VOT's rule: after this many equal runs the tracker is deterministic and no more are made."""


@dataclass(frozen=True)
class Place:
    """Where sequences are tracked."""

    device: str = "cpu"
    """As torch takes it."""
    batch: int = 1
    """Sequences that go through the network together."""
    threads: int = 1
    """Of torch in each process. One gives the same bytes however the sequences are spread over processes."""


@dataclass(frozen=True)
class Model:
    """What tracks."""

    package: Path
    tracking: Mapping[str, Any]
    """Fields of the recipe's tracking section that are replaced."""
    digest: str
    """Of both, see `tracker_digest`."""


def missing_runs(task: SequenceRuns, store: ResultStore) -> list[int]:
    """Runs of `task` that are not in the store; none once `EQUAL_RUNS` equal ones are there."""
    if task.again:
        return list(task.runs)
    missing = [number for number, frames in task.runs.items() if not store.has(task.name, frames, number)]
    return [] if missing and missing[0] > EQUAL_RUNS and _settled(task, store) else missing


def track_piece(
    tasks: list[SequenceRuns],
    model: Model,
    store: ResultStore,
    realtime: float | None,
    place: Place,
    tick: Callable[[], None] | None = None,
) -> Iterator[Advance]:
    """Track each sequence from its first true box, keep the results, and say what was done after each run.

    A sequence that cannot be tracked ends with its reason; the others go on. With more than one sequence in
    `place.batch`, one-pass runs outside simulated real time go through the network together. `tick` is called with each
    frame that is read one by one; such frames are in no `Advance`. Without it a long run says every few seconds how far
    it is.

    Raises SSTrackError where the model cannot be loaded or results cannot be written.
    """
    use_threads(place.threads)
    tracker = _tracker(str(model.package), json.dumps(dict(model.tracking)), model.digest, place.device)
    todo = [(task, missing_runs(task, store)) for task in tasks]
    failed: set[str] = set()
    if place.batch > 1 and store.protocol == "one_pass" and realtime is None:
        first = [(task, number) for task, numbers in todo for number in numbers if number <= EQUAL_RUNS]
        for advance in track_batched(tracker, first, store, place.batch):
            failed |= {advance.ended} if advance.failure else set()
            yield advance
        todo = [(task, [number for number in numbers if number > EQUAL_RUNS]) for task, numbers in todo]
        todo = [(task, numbers) for task, numbers in todo if numbers and task.name not in failed]
    for task, numbers in todo:
        runner: Runner = _Swapped(tracker, task.other) if task.other else tracker
        if realtime is not None:
            runner = RealTime(runner, realtime)
        yield from _track_one(runner, task, numbers, store, tick)


def _track_one(
    runner: Runner, task: SequenceRuns, numbers: list[int], store: ResultStore, tick: Callable[[], None] | None
) -> Iterator[Advance]:
    frames = 0
    for at, number in enumerate(numbers):
        if number > EQUAL_RUNS and _settled(task, store):
            frames = sum(task.runs[left] for left in numbers[at:])
            break
        load = _Counting(tick)
        try:
            run = yield from _followed(
                lambda load=load, number=number: _run(runner, task.sequence, number, store.protocol, load), load
            )
            check_unchanged(task)
        except (FrameError, ValueError) as error:
            yield Advance(0, task.name, str(error))
            return
        store.write(task.sequence, number, run)
        frames = task.runs[number] - load.told
        if number != numbers[-1]:
            yield Advance(frames)
            frames = 0
    yield Advance(frames, task.name)


def _followed(work: Callable[[], Run], load: "_Counting") -> Generator[Advance, None, Run]:
    """Do a run, and where nobody listens to its single frames, say every few seconds how many there were."""
    if load.heard:
        return work()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        while not wait([done], _TELL_S).done:
            yield Advance(load.fresh())
        return done.result()


class _Counting:
    """Reads frames, and says so where somebody listens."""

    def __init__(self, tick: Callable[[], None] | None) -> None:
        self._tick = tick
        self._read = 0
        self.told = 0
        """Frames that somebody has heard of."""

    @property
    def heard(self) -> bool:
        """Whether somebody listens to each frame."""
        return self._tick is not None

    def fresh(self) -> int:
        """Frames that nobody has heard of yet; from now on they are told."""
        before, self.told = self.told, self._read
        return self.told - before

    def __call__(self, frame: Path) -> NDArray[np.uint8]:
        self._read += 1
        if self._tick is not None:
            self._tick()
            self.told += 1
        return read_frame(frame)


@lru_cache(maxsize=1)
def _tracker(package: str, tracking: str, digest: str, device: str) -> "Tracker":
    """The tracker, kept for the next piece; `digest` tells packages at one path apart."""
    from sstrack.models.package import load_package
    from sstrack.tracking.tracker import Tracker

    try:
        net, recipe = load_package(Path(package), device)
    except ValueError as error:
        raise SSTrackError(f"the model cannot be loaded: {error}") from error
    return Tracker(net, tracking_config(recipe.tracking_as_trained, json.loads(tracking)))


def _run(runner: Runner, sequence: Sequence, number: int, protocol: str, load: Load) -> Run:
    if protocol == "vot_reset":
        return run_with_resets(runner, sequence, load)
    if protocol == "vot_anchor":
        return run_from_anchor(runner, sequence, number, load)
    return run_one_pass(runner, sequence, load)


def _settled(task: SequenceRuns, store: ResultStore) -> bool:
    """Whether the first repetitions are equal. Anchors are different runs, not repetitions."""
    if task.sequence.truth.anchors is not None:
        return False
    first = store.raw(task.name, 1)
    return all(store.raw(task.name, number) == first for number in range(2, EQUAL_RUNS + 1))


class _Swapped:
    """The control that is started with another sequence's template."""

    def __init__(self, tracker: "Tracker", other: Sequence) -> None:
        self._tracker = tracker
        self._other = other

    def start(self, frame: NDArray[np.uint8], box: Any, /) -> Any:
        return self._tracker.start(frame, box, (read_frame(self._other.frames[0]), self._other.first_box))

    def step(self, state: Any, frame: NDArray[np.uint8], /) -> Any:
        return self._tracker.step(state, frame)
