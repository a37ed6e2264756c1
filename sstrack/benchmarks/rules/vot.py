"""VOT's rules as they are registered: reset-based by three implementations, anchor-based."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from sstrack.benchmarks.metrics.vot_anchor import anchor_frames, anchors_of, score_anchor
from sstrack.benchmarks.metrics.vot_reset import ResetScores, score_matlab, score_pysot, score_toolkit
from sstrack.benchmarks.regions import FAILED, INITIALISED, SPECIAL, UNKNOWN, Regions
from sstrack.benchmarks.scores import Counted, Curve, Results, Rule, Scores
from sstrack.benchmarks.sequence import Truth

ResetScorer = Callable[[Sequence[Truth], Mapping[str, Sequence[Regions]], tuple[int, int]], ResetScores]


def reset_rules(low: int, high: int) -> tuple[Rule, ...]:
    """The Matlab rule (default), pysot's and the python toolkit's, with the year's EAO interval."""
    return (
        _reset("matlab", score_matlab, (low, high), ("official",)),
        _reset("pysot", score_pysot, (low, high), ()),
        _reset("python", score_toolkit, (low, high), ("vot-toolkit",)),
    )


def anchor_rules(low: int, high: int) -> tuple[Rule, ...]:
    """The python toolkit's anchor-based rule with the year's EAO interval."""
    score = partial(_score_anchor, interval=(low, high))
    return (Rule("official", score_anchor.__doc__ or "", score, "EAO", aliases=("python", "vot-toolkit")),)


def _reset(name: str, scorer: ResetScorer, interval: tuple[int, int], aliases: tuple[str, ...]) -> Rule:
    score = partial(_score_reset, name=name, scorer=scorer, interval=interval)
    return Rule(name, scorer.__doc__ or "", score, "EAO", aliases)


def _score_reset(
    truths: Sequence[Truth],
    results: Results,
    counted: Counted,
    *,
    name: str,
    scorer: ResetScorer,
    interval: tuple[int, int],
) -> Scores:
    """Any run of another length, of an unknown code, or that does not begin with a start (code 1) is refused."""
    runs = {truth.name: [_checked_reset(run, truth) for run in results.runs[truth.name].values()] for truth in truths}
    done = scorer(truths, runs, interval)
    unknown = sum(_unanswered(run) for mine in runs.values() for run in mine)
    if unknown:
        counted["frames without an answer outside a restart, of overlap 0"] += unknown
    metrics = {"EAO": done.eao, "A": done.accuracy, "R": done.robustness, "failures": done.failures}
    lengths = np.arange(len(done.curve), dtype=np.float64)
    return Scores(name, "EAO", metrics, done.per_sequence, {"eao": Curve(lengths, done.curve)}, +counted, done.parts)


def _score_anchor(truths: Sequence[Truth], results: Results, counted: Counted, *, interval: tuple[int, int]) -> Scores:
    runs: dict[str, dict[int, Regions]] = {}
    for truth in truths:
        mine = results.runs[truth.name]
        wanted = anchors_of(truth)
        missing = [anchor for anchor in wanted if anchor not in mine]
        if missing:
            raise ValueError(f"{truth.name}: no result for the runs from anchor {', '.join(map(str, missing))}")
        others = [anchor for anchor in mine if anchor not in wanted]
        if others:
            counted["runs from frames that are no anchor, left out"] += len(others)
        runs[truth.name] = {anchor: _checked_anchor(mine[anchor], truth, anchor) for anchor in wanted}
    done = score_anchor(truths, runs, interval)
    metrics = {"EAO": done.eao, "A": done.accuracy, "R": done.robustness}
    lengths = np.arange(len(done.curve), dtype=np.float64)
    return Scores(
        "official", "EAO", metrics, done.per_sequence, {"eao": Curve(lengths, done.curve)}, +counted, done.parts
    )


def _checked_reset(run: Regions, truth: Truth) -> Regions:
    if len(run) != len(truth):
        raise ValueError(
            f"result of {truth.name!r} has {len(run)} regions for {len(truth)} frames: one per frame is needed"
        )
    if run.codes[0] != INITIALISED:
        raise ValueError(f"result of {truth.name!r} does not begin with a start (1)")
    strange = (run.kind == SPECIAL) & ~np.isin(run.codes, (UNKNOWN, INITIALISED, FAILED))
    if strange.any():
        at = int(np.argmax(strange))
        raise ValueError(f"result of {truth.name!r}, frame {at + 1}: code {run.codes[at]} is none of 0, 1, 2")
    return run


def _checked_anchor(run: Regions, truth: Truth, anchor: int) -> Regions:
    frames = len(anchor_frames(truth, anchor))
    if len(run) != frames:
        raise ValueError(
            f"run {truth.name}_{anchor:08d} has {len(run)} regions for {frames} frames: one per frame is needed"
        )
    if run.codes[0] != INITIALISED:
        raise ValueError(f"run {truth.name}_{anchor:08d} does not begin with a start (1)")
    return run


def _unanswered(run: Regions) -> int:
    """Frames of code 0 that do not lie between a failure and the next start."""
    last = np.where(run.codes == UNKNOWN, 0, np.arange(len(run)))
    before = run.codes[np.maximum.accumulate(last)]
    return int(((run.codes == UNKNOWN) & (before != FAILED)).sum())
