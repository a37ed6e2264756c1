"""Score result files of any tracker, and say what a folder holds of each benchmark."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.content import annotation
from pipelines.evaluation.results import results_folder
from sstrack.benchmarks.attributes import by_attribute
from sstrack.benchmarks.bootstrap import band, intervals
from sstrack.benchmarks.registry import Benchmark, benchmark, benchmark_names
from sstrack.benchmarks.result_files import read_results
from sstrack.benchmarks.scores import Curve, Rule, Scores
from sstrack.benchmarks.scoring import score_results
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.survey import survey

SCORES = "scores.json"
"""What an evaluation leaves beside its raw results, under the benchmark's first rule; see `scores_name`."""


@dataclass(frozen=True)
class ScoreReport:
    """Numbers of one tracker under one rule."""

    benchmark: str
    rule: str
    sequences: int
    headline: str
    """The metric that the benchmark ranks by."""
    metrics: dict[str, float]
    per_sequence: dict[str, dict[str, float]]
    counted: dict[str, int]
    """What was repaired, left out or assumed, and how often."""
    intervals: dict[str, tuple[float, float]]
    """95 % bootstrap intervals over sequences, of the metrics that have one."""
    attributes: dict[str, dict[str, float]]
    """Attribute to the headline's value on the sequences that carry it, and how many do."""
    curves: dict[str, dict[str, list[float]]]
    """`success`, `precision`, `norm_precision`, `eao` as x and y, and as low and high where they are means over
    sequences: 95 % as for `intervals`."""
    annotation: str = ""
    """Of what it was scored against, see `content.annotation`; empty where that was not written down."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)


def score_files(name: str, gt: Path, results: Path, rule: str | None = None, *, partial: bool = False) -> ScoreReport:
    """Score the result files under `results` against the ground truth under `gt`.

    Args:
        name: a registered benchmark.
        gt: its root, an annotation folder, json or zip; frames are not needed.
        results: a folder or zip with one tracker's results.
        rule: the benchmark's default when None.
        partial: leave out sequences without a result instead of refusing.

    Raises:
        UsageError: unknown benchmark or rule.
        SSTrackError: ground truth or results that cannot be scored, in one sentence.
    """
    entry, chosen = find_rule(name, rule)
    truths = read_truths(entry, gt)
    scores = score_one(entry, truths, results, chosen, partial=partial)
    return report_of(entry, truths, scores)


def scores_name(entry: Benchmark, rule: str | None) -> str:
    """The file that an evaluation's scores under a rule are in, so that one rule's do not take another's place."""
    return SCORES if rule in (None, entry.rules[0].name) else f"scores.{rule}.json"


def find_rule(name: str, rule: str | None) -> tuple[Benchmark, Rule]:
    """The registered benchmark and its rule; UsageError names what there is."""
    try:
        entry = benchmark(name)
        return entry, entry.rule(rule)
    except ValueError as error:
        raise UsageError(str(error)) from error


def read_truths(entry: Benchmark, gt: Path) -> list[Truth]:
    """Annotation under `gt`; SSTrackError says what is wrong and what is expected."""
    try:
        return entry.truths(gt)
    except ValueError as error:
        raise SSTrackError(f"benchmark {entry.name}: {error}. Expected layout: {entry.layout}") from error


def score_one(entry: Benchmark, truths: list[Truth], results: Path, rule: Rule, *, partial: bool = False) -> Scores:
    """Read and score one tracker's files."""
    try:
        found = read_results(results_folder(results), truths, entry.protocol)
        return score_results(entry, truths, found, rule, partial=partial)
    except ValueError as error:
        raise SSTrackError(f"{results}: {error}") from error


def report_of(entry: Benchmark, truths: list[Truth], scores: Scores) -> ScoreReport:
    """`scores` as plain numbers, with intervals and attributes."""
    return ScoreReport(
        benchmark=entry.name,
        rule=scores.rule,
        sequences=len(scores.per_sequence),
        headline=scores.headline,
        metrics=dict(scores.metrics),
        per_sequence={name: dict(row) for name, row in scores.per_sequence.items()},
        counted=dict(scores.counted),
        intervals=intervals(scores.parts),
        attributes=by_attribute(scores, truths),
        curves={name: _curve(curve) for name, curve in scores.curves.items()},
        annotation=annotation(truths),
    )


def _curve(curve: Curve) -> dict[str, list[float]]:
    numbers = {"x": curve.x.tolist(), "y": curve.y.tolist()}
    if curve.rows is not None:
        low, high = band(curve.rows, curve.weights)
        numbers |= {"low": low.tolist(), "high": high.tolist()}
    return numbers


def list_benchmarks(root: Path | None, name: str | None = None) -> list[dict[str, Any]]:
    """Every benchmark (or the one called `name`) with protocol, rules and layout, and what it finds under `root`."""
    rows: list[dict[str, Any]] = []
    for entry in map(benchmark, benchmark_names()):
        if name not in (None, entry.name):
            continue
        row: dict[str, Any] = {
            "name": entry.name,
            "version": entry.version,
            "describe": entry.describe,
            "protocol": entry.protocol,
            "rules": [rule.name for rule in entry.rules],
            "rule_texts": {rule.name: " ".join(rule.describe.split()) for rule in entry.rules},
            "layout": entry.layout,
            "expected": entry.expected,
            "found": None,
            "with_frames": None,
            "missing": [],
            "wrong": [],
        }
        if root is not None:
            seen = survey(entry, root)
            row |= {"found": len(seen.found), "with_frames": seen.with_frames}
            row |= {"missing": list(seen.missing), "wrong": list(seen.wrong)}
        rows.append(row)
    return rows
