"""Who is in a report: the results or scores that were named, under names that people know."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.content import Content, annotation, contents
from pipelines.evaluation.results import CONTENT, read_content, results_folder
from pipelines.evaluation.score import (
    SCORES,
    ScoreReport,
    find_rule,
    read_truths,
    report_of,
    score_one,
    scores_name,
)
from pipelines.evaluation.targets import open_target
from pipelines.registry.tracker_names import tracker_name
from sstrack.benchmarks.registry import Benchmark, benchmark
from sstrack.benchmarks.result_files import read_results
from sstrack.benchmarks.scores import Results
from sstrack.benchmarks.sequence import Sequence as Clip
from sstrack.benchmarks.sequence import Truth

log = logging.getLogger(__name__)

_PLACES = {"one_pass", "vot_reset", "vot_anchor", "baseline", "results"}


@dataclass(frozen=True)
class Measured:
    """One tracker on one benchmark under one rule."""

    label: str
    scores: ScoreReport
    results: Results = field(default_factory=Results)
    """Its answers; empty where only scores were given."""
    truths: Mapping[str, Truth] = field(default_factory=dict[str, Truth])
    """The annotation by sequence, as it was when it was measured; a sequence that has changed is left out."""
    clips: Mapping[str, Clip] = field(default_factory=dict[str, Clip])
    """The same with frames, where they are here."""
    frames: Mapping[str, str] = field(default_factory=dict[str, str])
    """Digest of each sequence's frames as it was tracked; empty where that is not known."""

    @property
    def fps(self) -> float:
        """Frames per second over all first runs whose times were kept; NaN without any."""
        seconds = [runs[0] for runs in self.results.seconds.values() if len(runs)]
        total = float(sum(row.sum() for row in seconds))
        return sum(map(len, seconds)) / total if total > 0 else float("nan")


@dataclass(frozen=True)
class Given:
    """What raw results are scored against where they carry no scores."""

    benchmark: str | None = None
    gt: Path | None = None
    rule: str | None = None


def load_trackers(results: Sequence[str], given: Given) -> list[Measured]:
    """The trackers behind `results`: each `PATH` or `NAME=PATH`, see `write_report`.

    Raises:
        UsageError: results without scores and nothing to make them with.
        SSTrackError: results that cannot be scored, scores that cannot be read.
    """
    if not results:
        raise UsageError("name at least one result folder or score file")
    named = [_split(text) for text in results]
    loaded = [_load(path, given) for _, path in named]
    labels = [name or _label(path) for (name, _), path in zip(named, (path for _, path in named), strict=True)]
    taken: dict[tuple[str, str, str], int] = {}
    found: list[Measured] = []
    for label, one in zip(labels, loaded, strict=True):
        key = (label, one.scores.benchmark, one.scores.rule)
        taken[key] = taken.get(key, 0) + 1
        own = label if taken[key] == 1 else f"{label} ({taken[key]})"
        found.append(Measured(own, one.scores, one.results, one.truths, one.clips, one.frames))
    return found


@dataclass(frozen=True)
class _Loaded:
    """A tracker without its name."""

    scores: ScoreReport
    results: Results = field(default_factory=Results)
    truths: Mapping[str, Truth] = field(default_factory=dict[str, Truth])
    clips: Mapping[str, Clip] = field(default_factory=dict[str, Clip])
    frames: Mapping[str, str] = field(default_factory=dict[str, str])


def _split(text: str) -> tuple[str, Path]:
    name, sign, path = text.partition("=")
    if not sign or Path(text).exists():
        name, path = "", text
    if not storage.is_local(path):
        raise UsageError(f"{path}: a report reads results on this machine; copy the folder here first")
    return name, storage.local_path(path)


def _label(path: Path) -> str:
    folder = results_folder(path)
    if (folder / CONTENT).is_file():
        return tracker_name(folder.parents[2])
    parts = [path.stem if path.suffix == ".json" else path.name, *reversed(path.parts[:-1])]
    return next((part for part in parts if part not in _PLACES and part.split(".")[0] != "scores"), str(path))


def _load(path: Path, given: Given) -> _Loaded:
    if given.gt is not None and path.suffix != ".json":
        return _score_now(path, given, given.gt)
    if given.benchmark is not None:
        raise UsageError("--benchmark goes with --gt: scores that are there say themselves what they are of")
    folder = results_folder(path)
    if not (folder / CONTENT).is_file():
        return _Loaded(_of_rule(_read_scores(_scores_in(folder, path)), given.rule, path))
    facts = read_content(str(folder))
    clips = _clips(facts)
    truths = {name: clip.truth for name, clip in clips.items()}
    try:
        answers = read_results(folder, list(truths.values()), benchmark(facts["benchmark"]).protocol)
    except ValueError as error:
        raise SSTrackError(f"{folder}: {error}") from error
    scores = _own_scores(folder, path, given.rule, facts, truths)
    if not scores.annotation:  # of an earlier version, which did not write it down
        scores = replace(scores, annotation=_annotation_then(facts, truths))
    return _Loaded(scores, answers, truths, clips, {name: row["frames"] for name, row in facts["sequences"].items()})


def _annotation_then(facts: Mapping[str, Any], truths: Mapping[str, Truth]) -> str:
    if set(truths) == set(facts["sequences"]):
        return annotation(truths.values())
    then = json.dumps(sorted((name, row["truth"]) for name, row in facts["sequences"].items()))
    return hashlib.sha256(then.encode()).hexdigest()[:16]


def _own_scores(
    folder: Path, path: Path, rule: str | None, facts: Mapping[str, Any], truths: Mapping[str, Truth]
) -> ScoreReport:
    """What an evaluation left under the asked rule, or else made now from its raw results."""
    entry, chosen = find_rule(facts["benchmark"], rule)
    place = folder / scores_name(entry, rule)
    if rule is None or place.is_file():
        return _read_scores(place if rule is not None else _scores_in(folder, path))
    if set(truths) != set(facts["sequences"]):
        raise UsageError(
            f"{path} holds no scores under rule {rule}, and the benchmark is not as it was, so that none can be made: "
            f"sstrack evaluate --benchmark {entry.name} --rule {rule}"
        )
    return report_of(entry, list(truths.values()), score_one(entry, list(truths.values()), folder, chosen))


def _scores_in(folder: Path, path: Path) -> Path:
    """The file of scores that is meant by a folder or a file."""
    if not folder.is_dir():
        if not folder.is_file():
            raise UsageError(f"no such file or folder: {path}")
        return folder
    found = [folder / SCORES] if (folder / SCORES).is_file() else sorted(folder.glob("scores.*.json"))
    if len(found) > 1:
        rules = ", ".join(each.name.removeprefix("scores.").removesuffix(".json") for each in found)
        raise UsageError(f"{path} holds scores under several rules: say --rule, one of {rules}")
    if not found:
        raise UsageError(f"{path} holds no {SCORES}: give --benchmark and --gt to score its raw results now")
    return found[0]


def _of_rule(scores: ScoreReport, rule: str | None, path: Path) -> ScoreReport:
    if rule not in (None, scores.rule):
        raise UsageError(f"{path} has scores under rule {scores.rule} alone: --rule {rule} needs --benchmark and --gt")
    return scores


def _read_scores(source: Path) -> ScoreReport:
    try:
        data = json.loads(storage.read_bytes(str(source)))
        known = {key: data[key] for key in ScoreReport.__dataclass_fields__ if key != "annotation"}
        return ScoreReport(**known, annotation=data.get("annotation", ""))
    except (ValueError, KeyError, TypeError) as error:
        raise SSTrackError(
            f"{source} holds no scores of ours ({error!r}): make them with sstrack score --json"
        ) from error


def _score_now(path: Path, given: Given, gt: Path) -> _Loaded:
    if given.benchmark is None:
        raise UsageError("--gt needs --benchmark, the name of what it is the ground truth of")
    entry, rule = find_rule(given.benchmark, given.rule)
    truths = read_truths(entry, gt)
    where = results_folder(path)
    scores = report_of(entry, truths, score_one(entry, truths, where, rule))
    answers = read_results(where, truths, entry.protocol)
    return _Loaded(scores, answers, {truth.name: truth for truth in truths}, _with_frames(entry, gt))


def _with_frames(entry: Benchmark, gt: Path) -> dict[str, Clip]:
    """Clips whose frames are beside the truth; none where there is annotation only."""
    try:
        return {clip.name: clip for clip in entry.read(gt)}
    except ValueError as error:
        log.info("no pictures in the report: %s", error)
        return {}


def _clips(facts: Mapping[str, Any]) -> dict[str, Clip]:
    """Sequences that still hold what results were made of, which `facts` are those of."""
    try:
        target = open_target(facts["benchmark"], facts["root"])
    except SSTrackError as error:
        log.warning("no pictures of %s in the report: %s", facts["benchmark"], error)
        return {}
    now = contents(target.entry, target.root, target.sequences)
    same = [clip for clip in target.sequences if _same(facts, clip.name, now[clip.name])]
    if len(same) < len(target.sequences):
        log.warning("%d sequences under %s have changed since", len(target.sequences) - len(same), target.root)
    return {clip.name: clip for clip in same}


def _same(facts: Mapping[str, Any], name: str, now: Content) -> bool:
    then = facts["sequences"].get(name, {})
    # Of the control with another sequence's template, `tracked` is of both; its frames are the other's business.
    return then.get("truth") == now.truth and then.get("frames") == now.frames


def headline_values(tracker: Measured) -> dict[str, float]:
    """The headline by sequence, or the rule's first number where the headline is of the whole set only (EAO)."""
    rows = tracker.scores.per_sequence
    first = next(iter(rows.values()), {})
    name = tracker.scores.headline if tracker.scores.headline in first else next(iter(first), "")
    return {sequence: row[name] for sequence, row in rows.items() if np.isfinite(row.get(name, np.nan))}


def value_name(tracker: Measured) -> str:
    """What `headline_values` are of."""
    first = next(iter(tracker.scores.per_sequence.values()), {})
    return tracker.scores.headline if tracker.scores.headline in first else next(iter(first), "")
