"""Reset-based VOT scores (VOT2016 to VOT2019): EAO, accuracy, robustness, by three implementations.

A run starts on the true region (code 1), is stopped where it fails (code 2), skips frames (code 0) and starts again.
EAO cuts runs into fragments at starts, averages each fragment's overlaps from its second frame on up to length L, and
takes the mean over fragments and over the lengths of an interval that differs by year.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.bootstrap import Parts, mean_parts
from sstrack.benchmarks.metrics.raster import overlap_classic, overlap_toolkit
from sstrack.benchmarks.regions import FAILED, INITIALISED, UNKNOWN, Regions
from sstrack.benchmarks.sequence import Truth

Floats = NDArray[np.float64]

BURN_IN = 10
"""Frames from each start on that accuracy leaves out."""
SKIP = 5
"""A run starts again this many frames after a failure."""


@dataclass(frozen=True)
class Fragment:
    """Overlaps from one start on."""

    overlaps: Floats
    failed: bool
    """Zeros follow for ever; else nothing is known past the end."""
    weight: float = 1.0
    """How much it counts in the mean over fragments."""


@dataclass(frozen=True)
class ResetScores:
    """Numbers of one tracker, 0 to 1 except failure counts."""

    eao: float
    accuracy: float
    robustness: float
    failures: float
    """Over all sequences, averaged over repetitions."""
    curve: Floats
    """Expected average overlap by fragment length."""
    per_sequence: Mapping[str, Mapping[str, float]]
    parts: Mapping[str, Parts]


def score_matlab(
    truths: Sequence[Truth], runs: Mapping[str, Sequence[Regions]], interval: tuple[int, int]
) -> ResetScores:
    """The Matlab toolkit's rule, on which VOT's own tables of these years are.

    Overlap by the C library's drawing, bounded by W - 1, H - 1 for EAO and W, H for accuracy. A failure so late that no
    start follows, in one of the last five frames, leaves the last fragment un-failed. Accuracy pools all frames after
    the first ten from each start; robustness is 100 x failures / frames divided by 100 as published: failures per
    frame x 100 (0.276). Lengths are averaged over `interval` as written, so means over one frame less each.

    Invalid truth: every frame has a polygon in these sets; a special region gives no overlap. Predictions: NaN is an
    unknown frame of overlap 0, left out of accuracy, and counted. Lengths: another number of regions than frames is
    refused. First frame: it and every later start are not scored.
    """
    return _score_classic(truths, runs, interval, _fragments_matlab)


def score_pysot(
    truths: Sequence[Truth], runs: Mapping[str, Sequence[Regions]], interval: tuple[int, int]
) -> ResetScores:
    """pysot's rule, on which papers since SiamRPN++ publish these years' numbers.

    The Matlab toolkit's but for a failure exactly five frames before the end of the clip, T - 5 counted from 0: the
    start that would follow lies on the frame after the last. Matlab, counting from 1, takes it for too late; pysot
    takes the fragment for failed, and weighs its n frames n / (n + 1), as its tags end before the fragment's nominal
    end. Everything else as there: overlap, accuracy, robustness, the interval; invalid truth, predictions, lengths, the
    first frame.
    """
    return _score_classic(truths, runs, interval, _fragments_pysot)


Cut = Callable[[Floats, NDArray[np.int64]], list[Fragment]]


def _score_classic(
    truths: Sequence[Truth], runs: Mapping[str, Sequence[Regions]], interval: tuple[int, int], cut: Cut
) -> ResetScores:
    fragments: list[list[Fragment]] = []
    pooled: list[Floats] = []
    rows: dict[str, dict[str, float]] = {}
    failures, frames = 0.0, 0
    for truth in truths:
        assert truth.regions is not None and truth.size is not None
        width, height = truth.size
        accuracy: list[Floats] = []
        fragments.append([])
        lost: list[int] = []
        for run in runs[truth.name]:
            inner, scored = overlap_classic(run, truth.regions, (width - 1, height - 1), (width, height))
            overlaps = np.nan_to_num(inner)
            fragments[-1].extend(cut(overlaps, run.codes))
            accuracy.append(np.where(_burnt_in(run.codes), np.nan, scored))
            lost.append(int((run.codes == FAILED).sum()))
        mean = _nanmean(np.stack(accuracy))
        pooled.append(mean)
        failures += float(np.mean(lost))
        frames += len(truth)
        rows[truth.name] = {"A": float(np.nan_to_num(_nanmean(mean))), "failures": float(np.mean(lost))}
    longest = max(len(truth) for truth in truths)
    curve = eao_curve([one for mine in fragments for one in mine], longest)
    low, high = interval[0] - 1, interval[1] - 1
    scored_frames = [int((~np.isnan(mean)).sum()) for mean in pooled]
    return ResetScores(
        eao=interval_mean(curve, low, high),
        accuracy=float(np.nan_to_num(_nanmean(np.concatenate(pooled)))),
        robustness=100 * failures / frames,
        failures=failures,
        curve=curve,
        per_sequence=rows,
        parts=_parts(fragments, rows, longest, (low, high), np.array(scored_frames, dtype=np.float64)),
    )


def score_toolkit(
    truths: Sequence[Truth], runs: Mapping[str, Sequence[Regions]], interval: tuple[int, int]
) -> ResetScores:
    """The python toolkit's rule (0.8 to 0.9).

    Overlap by its own drawing inside the image. Every failure ends a failed fragment. Accuracy is the mean per
    sequence, averaged over runs, then weighted by length; frames of unknown answer are left out. Robustness is the
    number of failures per run, weighted by length. Lengths are averaged one frame later than the Matlab rule does.

    Invalid truth: an empty region agrees with an empty answer. Predictions: NaN is an unknown frame of overlap 0, left
    out of accuracy, and counted. Lengths: another number of regions than frames is refused. First frame: it and every
    later start are not scored.
    """
    fragments: list[list[Fragment]] = []
    rows: dict[str, dict[str, float]] = {}
    accuracy = robustness = failures = 0.0
    frames = 0
    for truth in truths:
        assert truth.regions is not None and truth.size is not None
        means: list[float] = []
        fragments.append([])
        lost: list[int] = []
        for run in runs[truth.name]:
            overlaps = overlap_toolkit(run, truth.regions, truth.size)
            fragments[-1].extend(_fragments_toolkit(overlaps, run.codes, truth.name))
            used = ~_burnt_in(run.codes) & (run.codes != UNKNOWN) & (run.codes != FAILED)
            means.append(float(overlaps[used].mean()) if used.any() else 0.0)
            lost.append(int((run.codes == FAILED).sum()))
        row = {"A": float(np.mean(means)), "failures": float(np.mean(lost))}
        accuracy += row["A"] * len(truth)
        robustness += row["failures"] * len(truth)
        failures += row["failures"]
        frames += len(truth)
        rows[truth.name] = row
    longest = max(len(one.overlaps) for mine in fragments for one in mine)
    curve = eao_curve([one for mine in fragments for one in mine], longest)
    lengths = np.array([len(truth) for truth in truths], dtype=np.float64)
    return ResetScores(
        eao=interval_mean(curve, *interval),
        accuracy=accuracy / frames,
        robustness=robustness / frames,
        failures=failures,
        curve=curve,
        per_sequence=rows,
        parts=_parts(fragments, rows, longest, interval, lengths),
    )


def eao_curve(fragments: Sequence[Fragment], longest: int) -> Floats:
    """[longest] expected average overlap at index j: mean over fragments known there of their mean on frames 1 to j.

    Index 0 is 1 by convention (the start frame itself is not scored); NaN where no fragment is that long.
    """
    total, count = _sums(fragments, longest)
    curve = np.divide(total, count, out=np.full(longest, np.nan), where=count > 0)
    curve[0] = 1.0
    return curve


def _parts(
    fragments: Sequence[Sequence[Fragment]],
    rows: Mapping[str, Mapping[str, float]],
    longest: int,
    span: tuple[int, int],
    frames: Floats,
) -> dict[str, Parts]:
    low, high = span
    sums = [_sums(mine, longest) for mine in fragments]
    eao = Parts(*(np.stack([pair[i][low : high + 1] for pair in sums]) for i in range(2)))
    accuracy = np.array([row["A"] for row in rows.values()])
    return {"EAO": eao, "A": mean_parts(accuracy, frames)}


def _sums(fragments: Sequence[Fragment], longest: int) -> tuple[Floats, Floats]:
    """[L] weighted sum over fragments of their mean overlap up to each length, and the weight of those known there."""
    total, count = np.zeros(longest), np.zeros(longest)
    lengths = np.maximum(np.arange(longest), 1)
    for fragment in fragments:
        known = longest if fragment.failed else len(fragment.overlaps)
        sums = np.zeros(longest)
        sums[: len(fragment.overlaps)] = fragment.overlaps
        sums[0] = 0.0
        total[:known] += fragment.weight * (np.cumsum(sums) / lengths)[:known]
        count[:known] += fragment.weight
    return total, count


def interval_mean(curve: Floats, low: int, high: int) -> float:
    """Mean of curve[low..high], both included, over what is known of it. ValueError where nothing is."""
    part = curve[low : high + 1]
    if not np.isfinite(part).any():
        raise ValueError(
            f"no fragment is {low + 1} frames long, so there is no EAO over lengths {low} to {high}: "
            "the sequences are too few or too short for this benchmark's interval"
        )
    return float(np.nanmean(part))


def _fragments_matlab(overlaps: Floats, codes: NDArray[np.int64]) -> list[Fragment]:
    cuts = [0, *(int(at) + SKIP for at in np.flatnonzero(codes == FAILED) if at + SKIP < len(overlaps))]
    fragments = [Fragment(overlaps[start : stop + 1], failed=True) for start, stop in pairwise(cuts)]
    return [*fragments, Fragment(overlaps[cuts[-1] :], failed=False)]


def _fragments_pysot(overlaps: Floats, codes: NDArray[np.int64]) -> list[Fragment]:
    *fragments, last = _fragments_matlab(overlaps, codes)
    if len(overlaps) - SKIP not in np.flatnonzero(codes == FAILED):
        return [*fragments, last]
    frames = len(last.overlaps)
    return [*fragments, Fragment(last.overlaps, failed=True, weight=frames / (frames + 1))]


def _fragments_toolkit(overlaps: Floats, codes: NDArray[np.int64], name: str) -> list[Fragment]:
    ends, starts = np.flatnonzero(codes == FAILED), np.flatnonzero(codes == INITIALISED)
    if not len(ends):
        return [Fragment(overlaps, failed=False)]
    if len(starts) not in (len(ends), len(ends) + 1):
        raise ValueError(f"{name}: {len(starts)} starts (code 1) do not fit {len(ends)} failures (code 2)")
    fragments = [
        Fragment(overlaps[start:stop], failed=True) for start, stop in zip(starts[: len(ends)], ends, strict=True)
    ]
    if len(starts) > len(ends):
        fragments.append(Fragment(overlaps[starts[-1] :], failed=False))
    return fragments


def _burnt_in(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[T] within `BURN_IN` frames of a start, the start included."""
    starts = np.convolve(codes == INITIALISED, np.ones(BURN_IN), mode="full")[: len(codes)]
    return starts > 0


def _nanmean(values: Floats) -> Floats:
    """Mean over the first axis of what is no NaN; NaN where all is."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    return np.divide(np.where(known, values, 0).sum(axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)
