"""Measure a tracker on a benchmark: find the raw results that exist, track the rest, score them all."""

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import storage
from pipelines.devices import pick_device
from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.jobs import TrackJob
from pipelines.evaluation.plan import balanced_pieces
from pipelines.evaluation.results import ResultStore, in_benchmark_coordinates
from pipelines.evaluation.score import SCORES, ScoreReport, report_of
from pipelines.evaluation.track import Place, missing_runs, track_piece
from pipelines.registry.models import resolve_model, tracker_digest
from pipelines.tracking.options import tracking_config
from sstrack.benchmarks.registry import Benchmark, benchmark
from sstrack.benchmarks.scores import Results, Rule
from sstrack.benchmarks.scoring import score_results
from sstrack.benchmarks.sequence import Sequence, static_boxes
from sstrack.models.package_files import package_recipe

log = logging.getLogger(__name__)

FRAMES_WORTH_A_CLUSTER = 2000
"""Starting Ray and loading the model in its workers takes as long as tracking about this many frames."""

GPU_BATCH = 32
"""Sequences in one batch on a GPU. On a CPU one after the other: batches bring a third there, and one at a time gives
the same bytes whatever the number of workers."""

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
    repetitions: int = 1,
    realtime: float | None = None,
    device: str = "auto",
    batch: int | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> EvaluationReport:
    """Track every sequence of the benchmark under `root` whose raw result is not there yet, and score all of them.

    Args:
        model: a model URI, see `resolve_model`.
        benchmark: a registered name.
        root: the benchmark's folder in its native layout.
        out: result store, a local folder or an s3:// prefix.
        workers: Ray tasks in parallel; 0, too few frames to be worth a cluster, or a GPU, tracks in this process.
        tracking: fields of the recipe's tracking section to replace; another digest, so other results.
            `{"templates": "swapped"}` gives each sequence the template of the next one.
        rule: scoring rule; the benchmark's first one when None.
        repetitions: runs per sequence where the protocol repeats. Our tracker draws no random numbers, so one is as
            good as many; after three equal ones no more are made.
        realtime: frames per second of simulated real time; None waits for the tracker.
        device: see `pick_device`.
        batch: sequences in one batch in each process; by default `GPU_BATCH` on a GPU, 1 on a CPU. One-pass runs only,
            and not in real time; results are equal within float tolerance.
        progress: called with finished and all sequences.
        force: track again what is there.

    Raises:
        UsageError: unknown benchmark, rule, tracking option or device.
        SSTrackError: no such model; a root that cannot be read; a frame that is no image.
    """
    where = _place(device, batch)
    if repetitions < 1 or (realtime is not None and realtime <= 0):
        raise UsageError(f"repetitions {repetitions}, real time {realtime}: both have to be above 0")
    entry, sequences = read_benchmark(benchmark, root)
    chosen = _rule(entry, rule) if _scorable(entry, sequences) else None
    package = resolve_model(model)
    options = dict(tracking or {})
    tracking_config(package_recipe(package).tracking_as_trained, options)
    digest = tracker_digest(package, options)
    store = ResultStore.of(out, digest, entry, realtime)
    jobs = _jobs(sequences, repetitions, force, swapped=options.get("templates") == "swapped")
    missing = [job for job in jobs if missing_runs(job, store)]
    if missing:
        log.info("tracking %d of %d sequences of %s with %s", len(missing), len(sequences), entry.name, model)
        offset = _offset(progress, len(jobs) - len(missing), len(jobs))
        _track(package, options, missing, store, workers, realtime, where, offset)
    if chosen is None:
        scores = Scores("none", {}, {})
        log.info("%s on %s: tracked; the truth is on the benchmark's server", model, entry.name)
    else:
        report = _score(entry, chosen, sequences, store.results([s.truth for s in sequences]))
        storage.write_atomic(storage.join(store.folder, SCORES), json.dumps(report.as_dict(), indent=1).encode())
        scores = _headline_first(report)
        headline, value = next(iter(scores.metrics.items()))
        log.info("%s on %s: %s %.3g (%s)", model, entry.name, headline, value, "measured" if missing else "found")
    seconds = sum(float(store.seconds(job.name, number).sum()) for job in jobs for number in job.runs if number == 1)
    frames = sum(len(s) for s in sequences)
    return EvaluationReport(
        model=model,
        model_digest=digest,
        benchmark=f"{entry.name}@{entry.version}",
        rule=scores.rule,
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
    if entry.protocol != "one_pass":
        raise UsageError(
            f"benchmark {entry.name} restarts trackers; a box that never moves is scored on one-pass sets only"
        )
    boxes = {s.name: [in_benchmark_coordinates(static_boxes(s), s)] for s in sequences}
    return _headline_first(_score(entry, _rule(entry, rule), sequences, Results(boxes)))


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


def _score(entry: Benchmark, rule: Rule, sequences: list[Sequence], results: Results) -> ScoreReport:
    """Raw results to the rule's numbers."""
    truths = [s.truth for s in sequences]
    try:
        return report_of(entry, truths, score_results(entry, truths, results, rule))
    except ValueError as error:
        raise SSTrackError(f"benchmark {entry.name}: {error}") from error


def _headline_first(done: ScoreReport) -> Scores:
    names = sorted(done.metrics, key=lambda name: name != done.headline)
    return Scores(
        rule=done.rule,
        metrics={name: done.metrics[name] for name in names},
        per_sequence={name: row[done.headline] for name, row in done.per_sequence.items() if done.headline in row},
    )


def _scorable(entry: Benchmark, sequences: list[Sequence]) -> bool:
    """Whether the truth is here: not for test sets that give away the first box only."""
    return bool(entry.rules) and any(len(s.truth) > 1 for s in sequences)


def _jobs(sequences: list[Sequence], repetitions: int, again: bool, *, swapped: bool) -> list[TrackJob]:
    following = dict(zip((s.name for s in sequences), [*sequences[1:], sequences[0]], strict=True))
    return [TrackJob(s, following[s.name] if swapped else None, repetitions, again) for s in sequences]


def _track(
    package: Path,
    tracking: dict[str, Any],
    jobs: list[TrackJob],
    store: ResultStore,
    workers: int,
    realtime: float | None,
    where: Place,
    progress: Progress,
) -> None:
    """Run the jobs in this process or as Ray tasks. Finished runs stay when a later one fails."""
    if where.device != "cpu" or workers == 0 or sum(map(len, jobs)) < FRAMES_WORTH_A_CLUSTER:
        track_piece(package, tracking, jobs, store, realtime, where, lambda count: progress(count, len(jobs)))
        return
    from pipelines.cluster import local_cluster, run_tasks

    pieces = balanced_pieces(jobs, workers)
    done = 0
    with local_cluster(workers):
        for index in run_tasks(track_piece, [(package, tracking, piece, store, realtime, where) for piece in pieces]):
            done += len(pieces[index])
            progress(done, len(jobs))


def _place(device: str, batch: int | None) -> Place:
    name = pick_device(device)
    if batch is not None and not 1 <= batch <= 1024:
        raise UsageError(f"batch {batch}: expected 1 to 1024 sequences")
    return Place(name, batch or (1 if name == "cpu" else GPU_BATCH))


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
