"""Measure a tracker on benchmarks: find the raw results that exist, track the rest, score them all."""

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

from pipelines import storage
from pipelines.devices import pick_device
from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.content import UNREADABLE, Content, both, contents
from pipelines.evaluation.plan import balanced_pieces
from pipelines.evaluation.results import ResultStore, in_benchmark_coordinates
from pipelines.evaluation.score import ScoreReport, report_of, scores_name
from pipelines.evaluation.sequence_runs import Advance, SequenceRuns
from pipelines.evaluation.targets import check_targets, open_target
from pipelines.evaluation.track import Model, Place, missing_runs, track_piece
from pipelines.registry.models import resolve_model, tracker_digest
from pipelines.registry.tracker_names import note_tracker
from pipelines.threads import giga_macs
from pipelines.tracking.options import tracking_config
from sstrack.benchmarks.registry import Benchmark
from sstrack.benchmarks.scores import Results, Rule
from sstrack.benchmarks.scoring import score_results
from sstrack.benchmarks.sequence import Sequence, static_boxes
from sstrack.models.package_files import package_recipe

log = logging.getLogger(__name__)

WORK_WORTH_A_CLUSTER = 320.0
"""10⁹ multiply-adds; starting Ray and loading the model in its workers takes as long as about this much tracking, 2,000
frames of the smallest network."""

GPU_BATCH = 32
"""Sequences in one batch on a GPU. On a CPU one after the other: batches bring a third there, and one at a time gives
the same bytes whatever the number of workers."""

PIECES = 4
"""Pieces of a benchmark for each worker, so that all end at about the same time and little is lost with one."""

OnProgress = Callable[[int, int, str], None]
"""(frames done, frames in all, what else is to say)."""


@dataclass(frozen=True)
class Scores:
    """One rule's numbers over a benchmark."""

    rule: str
    metrics: dict[str, float]
    """Over all sequences, the one that the benchmark ranks by first."""
    per_sequence: dict[str, float]
    """That metric by sequence."""
    annotation: str = ""
    """Of what it was scored against, see `content.annotation`."""


@dataclass(frozen=True)
class EvaluationReport:
    """What `evaluate` found or did."""

    model: str
    model_digest: str
    """Digest of package and tracking options: the folder of the raw results."""
    benchmark: str
    """`<name>@<version>`."""
    protocol: str
    rule: str
    sequences: int
    expected: int
    """Sequences of the published set; those that are here where none is fixed."""
    frames: int
    metrics: dict[str, float]
    per_sequence: dict[str, float]
    results: str
    found: bool
    """True when nothing had to be tracked."""
    fps: float
    """Frames per second of one worker, reading included, over all results that are there."""
    annotation: str = ""
    """Of what it was scored against, see `content.annotation`."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class How:
    """How a tracker is measured."""

    workers: int = 0
    """Ray tasks in parallel; 0, or too little work to be worth a cluster, tracks in this process. On GPUs one task for
    each of them, whatever the number."""
    tracking: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Fields of the recipe's tracking section to replace; another digest, so other results. `{"templates": "swapped"}`
    gives each sequence the template of the next one."""
    rule: str | None = None
    """Scoring rule; the benchmark's first one when None."""
    repetitions: int = 1
    """Runs per sequence where the protocol repeats. Our tracker draws no random numbers, so one is as good as many;
    after three equal ones no more are made."""
    realtime: float | None = None
    """Frames per second of simulated real time; None waits for the tracker."""
    device: str = "auto"
    """See `pick_device`."""
    batch: int | None = None
    """Sequences in one batch in each process; by default `GPU_BATCH` on a GPU, 1 on a CPU. One-pass runs only, and not
    in real time; results are equal within float tolerance."""
    threads: int = 1
    """Of torch in each process. Sequences are spread over processes instead; more threads bring results that are equal
    within float tolerance."""
    force: bool = False
    """Track again what is there."""

    def __post_init__(self) -> None:
        if self.repetitions < 1 or (self.realtime is not None and self.realtime <= 0):
            raise UsageError(f"repetitions {self.repetitions}, real time {self.realtime}: both have to be above 0")
        if self.batch is not None and not 1 <= self.batch <= 1024:
            raise UsageError(f"batch {self.batch}: expected 1 to 1024 sequences")
        if not 1 <= self.threads <= 256:
            raise UsageError(f"threads {self.threads}: expected 1 to 256")

    @property
    def place(self) -> Place:
        """UsageError for a device that is not here."""
        name = pick_device(self.device)
        return Place(name, self.batch or (1 if name == "cpu" else GPU_BATCH), self.threads)


def evaluate_all(
    model: str,
    benchmarks: Many[tuple[str, str]],
    out: str,
    how: How,
    progress: Callable[[str], OnProgress] | None = None,
    done: Callable[[EvaluationReport], None] | None = None,
) -> list[EvaluationReport]:
    """`evaluate` on several benchmarks, names with roots. What is wrong with any of them, or with the model, is said
    before the first is tracked; one that fails later does not keep the others from being measured.

    Args:
        progress: called with a benchmark's name; what it returns is called with that benchmark's frames.
        done: called with each report as soon as it is there.

    Raises as `evaluate` does, at the end and with everything that failed.
    """
    assert benchmarks
    _ = how.place
    check_targets(benchmarks, how.rule)
    tracking_config(package_recipe(resolve_model(model)).tracking_as_trained, how.tracking)
    reports: list[EvaluationReport] = []
    failures: list[SSTrackError] = []
    for name, root in benchmarks:
        try:
            report = evaluate(model, name, root, out, how, None if progress is None else progress(name))
        except SSTrackError as error:
            failures.append(error)
            if len(benchmarks) > 1:
                log.error("%s", error)
            continue
        reports.append(report)
        if done is not None:
            done(report)
    if len(failures) == 1 == len(benchmarks):
        raise failures[0]
    if failures:
        raise SSTrackError(f"{len(failures)} of {len(benchmarks)} benchmarks failed: {'; '.join(map(str, failures))}")
    return reports


def evaluate(
    model: str, benchmark: str, root: str, out: str, how: How | None = None, progress: OnProgress | None = None
) -> EvaluationReport:
    """Track every sequence of the benchmark under `root` whose raw result is not there yet, and score all of them.

    Args:
        model: a model URI, see `resolve_model`.
        benchmark: a registered name.
        root: the benchmark's folder in its native layout, local or s3://.
        out: result store, a local folder or an s3:// prefix.
        how: everything else; by default in this process.
        progress: called as frames are tracked.

    Raises:
        UsageError: unknown benchmark, rule, tracking option or device.
        SSTrackError: no such model; a root that cannot be read; sequences that could not be tracked or changed
            meanwhile, named after all others are done.
    """
    how = how or How()
    where = how.place
    target = open_target(benchmark, root, how.rule)
    entry, sequences = target.entry, target.sequences
    package = resolve_model(model)
    recipe = package_recipe(package)
    tracking_config(recipe.tracking_as_trained, how.tracking)
    tracker = Model(package, dict(how.tracking), tracker_digest(package, how.tracking))
    own = contents(entry, target.root, sequences)
    tasks = _tasks(sequences, own, how)
    parts = _parts(tasks, own)
    unreadable = {name: "a frame cannot be read" for name, part in parts.items() if part.tracked == UNREADABLE}
    store = ResultStore.of(out, tracker.digest, entry, parts, how.realtime)
    store.open(entry, target.root, parts)
    note_tracker(storage.join(out, tracker.digest), model, how.tracking)
    missing = [task for task in tasks if task.name not in unreadable and missing_runs(task, store)]
    if said := target.availability:
        log.info("%s", said)
    failures = dict(unreadable)
    if missing:
        log.info("tracking %d of %d sequences of %s with %s", len(missing), len(sequences), entry.name, model)
        heavy = sum(map(len, missing)) * giga_macs(recipe) >= WORK_WORTH_A_CLUSTER
        fixed = (tracker, store, how.realtime, where)
        failures |= _track(fixed, missing, how.workers if heavy else 0, _Count(tasks, missing, progress))
    if failures:
        raise SSTrackError(_failed(entry, failures, store))
    if target.rule is None:
        scores = Scores("none", {}, {})
        log.info("%s on %s: tracked; the truth is on the benchmark's server", model, entry.name)
    else:
        report = _score(entry, target.rule, sequences, store.results([s.truth for s in sequences]))
        storage.write_atomic(
            storage.join(store.folder, scores_name(entry, report.rule)), json.dumps(report.as_dict(), indent=1).encode()
        )
        scores = _headline_first(report)
        headline, value = next(iter(scores.metrics.items()))
        log.info("%s on %s: %s %.3g (%s)", model, entry.name, headline, value, "measured" if missing else "found")
    seconds = sum(float(store.seconds(task.name, number).sum()) for task in tasks for number in list(task.runs)[:1])
    frames = sum(len(s) for s in sequences)
    return EvaluationReport(
        model=model,
        model_digest=tracker.digest,
        benchmark=f"{entry.name}@{entry.version}",
        protocol=entry.protocol,
        rule=scores.rule,
        sequences=len(sequences),
        expected=entry.expected or len(sequences),
        frames=frames,
        metrics=scores.metrics,
        per_sequence=scores.per_sequence,
        results=store.folder,
        found=not missing,
        fps=frames / seconds if seconds > 0 else float("nan"),
        annotation=scores.annotation,
    )


def evaluate_static(benchmark: str, root: str, rule: str | None = None) -> Scores:
    """Score the box that never moves: what a tracker has to beat to have done anything."""
    target = open_target(benchmark, root, rule)
    entry, sequences = target.entry, target.sequences
    if entry.protocol != "one_pass":
        raise UsageError(
            f"benchmark {entry.name} restarts trackers; a box that never moves is scored on one-pass sets only"
        )
    if target.rule is None:
        raise UsageError(f"benchmark {entry.name} cannot be scored here: its ground truth is kept on a server")
    boxes = {s.name: [in_benchmark_coordinates(static_boxes(s), s)] for s in sequences}
    return _headline_first(_score(entry, target.rule, sequences, Results(boxes)))


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
        annotation=done.annotation,
    )


def _tasks(sequences: list[Sequence], own: Mapping[str, Content], how: How) -> list[SequenceRuns]:
    swapped = how.tracking.get("templates") == "swapped"
    following = dict(zip((s.name for s in sequences), [*sequences[1:], sequences[0]], strict=True))
    return [
        SequenceRuns(s, following[s.name] if swapped else None, how.repetitions, how.force, own[s.name].stamp)
        for s in sequences
    ]


def _parts(tasks: list[SequenceRuns], own: Mapping[str, Content]) -> dict[str, Content]:
    """What each sequence's result depends on."""
    return {
        task.name: own[task.name]
        if task.other is None
        else dataclasses.replace(own[task.name], tracked=both(own[task.name].tracked, own[task.other.name].tracked))
        for task in tasks
    }


Fixed = tuple[Model, ResultStore, float | None, Place]
"""What is the same for every piece: tracker, store, simulated rate, place."""


class _Count:
    """Frames and sequences done, for whoever watches."""

    def __init__(self, tasks: list[SequenceRuns], missing: list[SequenceRuns], progress: OnProgress | None) -> None:
        self._frames = sum(map(len, tasks)) - sum(map(len, missing))
        self._total = sum(map(len, tasks))
        self._ended, self._all = {task.name for task in tasks} - {task.name for task in missing}, len(tasks)
        self._progress = progress

    def frame(self) -> None:
        """One more frame."""
        self.take(Advance(1))

    def take(self, advance: Advance) -> None:
        """What a piece has done."""
        self._frames += advance.frames
        self._ended |= {advance.ended} - {""}
        if self._progress is not None:
            self._progress(self._frames, self._total, f"{len(self._ended)} of {self._all} sequences")


def _track(fixed: Fixed, tasks: list[SequenceRuns], workers: int, count: _Count) -> dict[str, str]:
    """Track the sequences in this process, or pieces of them as Ray tasks; returns those that could not be tracked,
    with the reason."""
    failures: dict[str, str] = {}
    for advance in _advances(fixed, tasks, workers, count):
        count.take(advance)
        if advance.failure:
            failures[advance.ended] = advance.failure
            log.warning("%s: %s", advance.ended, advance.failure)
    return failures


def _advances(fixed: Fixed, tasks: list[SequenceRuns], workers: int, count: _Count) -> Iterator[Advance]:
    device = fixed[-1].device
    gpus = _gpus() if device == "cuda" else 0
    if gpus < 2 if device != "cpu" else workers == 0:
        yield from track_piece(tasks, *fixed, tick=count.frame)
        return
    from pipelines.cluster import local_cluster, run_streams

    processes = gpus or workers
    pieces = balanced_pieces(tasks, processes * PIECES)
    with local_cluster(processes):
        arguments = [(piece, *fixed) for piece in pieces]
        for _, advance in run_streams(track_piece, arguments, at_once=2 * processes, gpus=1 if gpus else 0):
            yield advance


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _failed(entry: Benchmark, failures: Mapping[str, str], store: ResultStore) -> str:
    shown = "; ".join(f"{name}: {reason}" for name, reason in list(failures.items())[:5])
    more = f"; and {len(failures) - 5} more" if len(failures) > 5 else ""
    return (
        f"benchmark {entry.name} has no score: {len(failures)} sequence(s) could not be tracked: {shown}{more}. The "
        f"results of the others are kept in {store.folder}; replace the files and run the same command again"
    )
