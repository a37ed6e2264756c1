"""Measure a tracker on a benchmark: find the raw results that exist, track the rest, score them all."""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.models import resolve_model, tracker_digest
from pipelines.evaluation.plan import balanced_pieces
from pipelines.evaluation.results import ResultStore
from pipelines.frames import read_image
from pipelines.tracking.options import tracking_config
from sstrack.benchmarks.registry import Benchmark, benchmark
from sstrack.benchmarks.scores import Boxes, Results, Rule
from sstrack.benchmarks.scoring import score_results
from sstrack.benchmarks.sequence import Sequence, static_boxes
from sstrack.models.package_files import package_recipe

if TYPE_CHECKING:
    from sstrack.tracking.tracker import Tracker

log = logging.getLogger(__name__)

FRAMES_WORTH_A_CLUSTER = 2000
"""Starting Ray and loading the model in its workers takes as long as tracking about this many frames."""

Progress = Callable[[int, int], None]
"""(sequences done, sequences in all)."""


@dataclass(frozen=True)
class Scores:
    """One rule's numbers over a benchmark."""

    rule: str
    metrics: dict[str, float]
    """Over all sequences, the one that the benchmark ranks by first."""
    per_sequence: dict[str, float]
    """That metric by sequence."""


@dataclass(frozen=True)
class EvaluationReport:
    """What `evaluate` found or did."""

    model: str
    model_digest: str
    """Digest of package and tracking options: the folder of the raw results."""
    benchmark: str
    """`<name>@<version>`."""
    rule: str
    sequences: int
    frames: int
    metrics: dict[str, float]
    per_sequence: dict[str, float]
    results: str
    found: bool
    """True when nothing had to be tracked."""
    fps: float
    """Frames per second of one worker, reading included, over all results that are there."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)


def evaluate(
    model: str,
    benchmark: str,
    root: str,
    out: str,
    *,
    workers: int,
    tracking: Mapping[str, Any] | None = None,
    rule: str | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> EvaluationReport:
    """Track every sequence of the benchmark under `root` whose raw result is not there yet, and score all of them.

    Args:
        model: a model URI, see `resolve_model`.
        benchmark: a registered name.
        root: the benchmark's folder in its native layout.
        out: result store, a local folder or an s3:// prefix.
        workers: Ray tasks in parallel; 0, or too few frames to be worth a cluster, tracks in this process.
        tracking: fields of the recipe's tracking section to replace; another digest, so other results.
            `{"templates": "swapped"}` gives each sequence the template of the next one.
        rule: scoring rule; the benchmark's first one when None.
        progress: called with finished and all sequences.
        force: track again what is there.

    Raises:
        UsageError: unknown benchmark, rule or tracking option.
        SSTrackError: no such model; a root that cannot be read; a frame that is no image.
    """
    entry, sequences = read_benchmark(benchmark, root)
    chosen = _rule(entry, rule)
    package = resolve_model(model)
    options = dict(tracking or {})
    tracking_config(package_recipe(package).tracking, options)
    digest = tracker_digest(package, options)
    store = ResultStore.of(out, digest, entry)
    missing = [s for s in sequences if force or not store.has(s.name, len(s))]
    if missing:
        log.info("tracking %d of %d sequences of %s with %s", len(missing), len(sequences), entry.name, model)
        jobs = _jobs(sequences, missing, swapped=options.get("templates") == "swapped")
        _track(package, options, jobs, store, workers, _offset(progress, len(sequences) - len(missing), len(sequences)))
    scores = score(entry, chosen, sequences, {s.name: store.boxes(s.name) for s in sequences})
    seconds = sum(float(store.seconds(s.name).sum()) for s in sequences)
    frames = sum(len(s) for s in sequences)
    headline, value = next(iter(scores.metrics.items()))
    log.info("%s on %s: %s %.1f (%s)", model, entry.name, headline, value, "found" if not missing else "measured")
    return EvaluationReport(
        model=model,
        model_digest=digest,
        benchmark=f"{entry.name}@{entry.version}",
        rule=chosen.name,
        sequences=len(sequences),
        frames=frames,
        metrics=scores.metrics,
        per_sequence=scores.per_sequence,
        results=store.folder,
        found=not missing,
        fps=frames / seconds if seconds > 0 else float("nan"),
    )


def evaluate_static(benchmark: str, root: str, rule: str | None = None) -> Scores:
    """Score the box that never moves: what a tracker has to beat to have done anything."""
    entry, sequences = read_benchmark(benchmark, root)
    boxes = {s.name: in_benchmark_coordinates(static_boxes(s), s) for s in sequences}
    return score(entry, _rule(entry, rule), sequences, boxes)


def read_benchmark(name: str, root: str) -> tuple[Benchmark, list[Sequence]]:
    """The registered benchmark and its sequences under `root`; UsageError or SSTrackError say what is wrong."""
    try:
        entry = benchmark(name)
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        return entry, entry.read(Path(root))
    except ValueError as error:
        raise SSTrackError(f"benchmark {name}: {error}. Expected layout: {entry.layout}") from error


def score(entry: Benchmark, rule: Rule, sequences: list[Sequence], boxes: Mapping[str, Boxes]) -> Scores:
    """Pure: boxes by sequence name, in the benchmark's coordinates, to the rule's numbers."""
    try:
        done = score_results(entry, [s.truth for s in sequences], Results({n: [b] for n, b in boxes.items()}), rule)
    except ValueError as error:
        raise SSTrackError(f"benchmark {entry.name}: {error}") from error
    names = sorted(done.metrics, key=lambda name: name != done.headline)
    return Scores(
        rule=done.rule,
        metrics={name: done.metrics[name] for name in names},
        per_sequence={name: row[done.headline] for name, row in done.per_sequence.items()},
    )


@dataclass(frozen=True)
class TrackJob:
    """One sequence to track."""

    sequence: Sequence
    other: Sequence | None
    """The sequence whose first frame gives the template, for the control `swapped`."""

    @property
    def name(self) -> str:
        """The sequence's name."""
        return self.sequence.name

    def __len__(self) -> int:
        return len(self.sequence)


def track_piece(package: Path, tracking: Mapping[str, Any], jobs: list[TrackJob], store: ResultStore) -> None:
    """Load the model once, track each sequence once from its first true box, keep the results."""
    import torch

    from sstrack.models.package import load_package
    from sstrack.tracking.tracker import Tracker

    torch.set_num_threads(1)
    net, recipe = load_package(package)
    tracker = Tracker(net, tracking_config(recipe.tracking, tracking))
    for job in jobs:
        boxes, seconds = _track_sequence(tracker, job)
        store.write(job.name, in_benchmark_coordinates(boxes, job.sequence), seconds)


def in_benchmark_coordinates(boxes: Boxes, sequence: Sequence) -> Boxes:
    """0-based [T, 4] boxes as the benchmark's own files count pixels, so that any toolkit reads our raw results."""
    return boxes + np.array((sequence.truth.origin, sequence.truth.origin, 0, 0))


def _track_sequence(tracker: "Tracker", job: TrackJob) -> tuple[Boxes, NDArray[np.float64]]:
    sequence = job.sequence
    boxes, seconds = np.empty((len(sequence), 4)), np.zeros(len(sequence))
    boxes[0] = sequence.first_box
    started = time.perf_counter()
    other = (_read(job.other.frames[0]), job.other.first_box) if job.other else None
    state = tracker.start(_read(sequence.frames[0]), sequence.first_box, other)
    seconds[0] = time.perf_counter() - started
    for index, frame in enumerate(sequence.frames[1:], start=1):
        started = time.perf_counter()
        state, prediction = tracker.step(state, _read(frame))
        boxes[index] = prediction.box
        seconds[index] = time.perf_counter() - started
    return boxes, seconds


def _jobs(sequences: list[Sequence], missing: list[Sequence], *, swapped: bool) -> list[TrackJob]:
    following = dict(zip((s.name for s in sequences), [*sequences[1:], sequences[0]], strict=True))
    return [TrackJob(s, following[s.name] if swapped else None) for s in missing]


def _track(
    package: Path,
    tracking: dict[str, Any],
    jobs: list[TrackJob],
    store: ResultStore,
    workers: int,
    progress: Progress,
) -> None:
    """Run the jobs in this process or as Ray tasks. Finished sequences stay when a later one fails."""
    if workers == 0 or sum(map(len, jobs)) < FRAMES_WORTH_A_CLUSTER:
        track_piece(package, tracking, jobs, store)
        progress(len(jobs), len(jobs))
        return
    from pipelines.cluster import local_cluster, run_tasks

    pieces = balanced_pieces(jobs, workers)
    done = 0
    with local_cluster(workers):
        for index in run_tasks(track_piece, [(package, tracking, piece, store) for piece in pieces]):
            done += len(pieces[index])
            progress(done, len(jobs))


def _read(frame: Path) -> NDArray[np.uint8]:
    try:
        return read_image(frame)
    except ValueError as error:
        raise SSTrackError(f"{error}; replace the file, finished sequences are kept") from error


def _rule(entry: Benchmark, name: str | None) -> Rule:
    try:
        return entry.rule(name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _offset(progress: Progress | None, found: int, total: int) -> Progress:
    def report(done: int, _: int) -> None:
        if progress is not None:
            progress(found + done, total)

    return report
