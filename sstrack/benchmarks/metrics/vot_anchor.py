"""Anchor-based VOT scores (VOT2020): EAO, accuracy, robustness without resets.

A run starts at an anchor frame and goes on to the end, or back to the first frame; nothing stops it. Where it has
failed is found afterwards, from ten bad frames in a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.bootstrap import Parts, mean_parts
from sstrack.benchmarks.metrics.raster import empty_toolkit, overlap_toolkit
from sstrack.benchmarks.regions import Regions
from sstrack.benchmarks.sequence import Truth

Floats = NDArray[np.float64]

GRACE = 10
"""This many frames in a row at or below `THRESHOLD` are a failure, from the first of them on."""
THRESHOLD = 0.1


@dataclass(frozen=True)
class AnchorRun:
    """One run scored: overlaps in the order of tracking, and how many frames came before the failure."""

    overlaps: Floats
    tracked: int

    @property
    def failed(self) -> bool:
        """Whether it lost the target before its end."""
        return self.tracked < len(self.overlaps)


@dataclass(frozen=True)
class AnchorScores:
    """Numbers of one tracker, 0 to 1."""

    eao: float
    accuracy: float
    robustness: float
    curve: Floats
    per_sequence: Mapping[str, Mapping[str, float]]
    parts: Mapping[str, Parts]


def anchor_frames(truth: Truth, anchor: int) -> NDArray[np.int64]:
    """Frames of the run from `anchor` in order: forward to the end, or back to 0 where the anchor is negative."""
    assert truth.anchors is not None
    return np.arange(anchor, len(truth)) if truth.anchors[anchor] > 0 else np.arange(anchor, -1, -1)


def anchors_of(truth: Truth) -> list[int]:
    """Frames at which runs start. ValueError where the sequence has none."""
    found = [] if truth.anchors is None else np.flatnonzero(truth.anchors).tolist()
    if not found:
        raise ValueError(f"sequence {truth.name!r} has no anchors: expected anchor.value with a number per frame")
    return found


def score_anchor(
    truths: Sequence[Truth], runs: Mapping[str, Mapping[int, Regions]], interval: tuple[int, int]
) -> AnchorScores:
    """EAO, accuracy and robustness over all runs.

    Args:
        truths: with regions, anchors and image size.
        runs: per sequence, anchor frame to the regions reported from there on, in the order of tracking.
        interval: EAO is the mean of curve[low .. high - 1].

    The start frame is a special region of overlap 0: it counts among frames and towards the ten bad ones. Accuracy is
    pooled over tracked frames; robustness is frames before failure / frames per sequence, weighted by its length.

    Invalid truth: frames with an empty region cannot be failed on. Predictions: NaN is a special region of overlap 0.
    Lengths: another number of regions than the run has frames is refused, so is a missing run. First frame: the start
    has overlap 0 and counts among frames.
    """
    low, high = interval
    scored: list[list[AnchorRun]] = []
    tracked_by: list[float] = []
    rows: dict[str, dict[str, float]] = {}
    top = tracked_total = 0.0
    weighted = 0.0
    for truth in truths:
        assert truth.regions is not None and truth.size is not None
        mine: list[AnchorRun] = []
        for anchor in anchors_of(truth):
            gt = truth.regions.take(anchor_frames(truth, anchor))
            overlaps = overlap_toolkit(runs[truth.name][anchor], gt, truth.size)
            mine.append(AnchorRun(overlaps, _tracked((overlaps <= THRESHOLD) & ~empty_toolkit(gt))))
        tracked = sum(run.tracked for run in mine)
        hits = sum(float(run.overlaps[: run.tracked].sum()) for run in mine)
        share = tracked / sum(len(run.overlaps) for run in mine)
        rows[truth.name] = {"A": hits / tracked if tracked else 0.0, "R": share}
        top, tracked_total, weighted = top + hits, tracked_total + tracked, weighted + share * len(truth)
        scored.append(mine)
        tracked_by.append(float(tracked))
    curve = anchor_curve([run for mine in scored for run in mine], high)
    sums = [_sums(mine, high) for mine in scored]
    lengths = np.array([len(truth) for truth in truths], dtype=np.float64)
    column = {name: np.array([row[name] for row in rows.values()]) for name in ("A", "R")}
    parts = {
        "EAO": Parts(*(np.stack([pair[i][low:high] for pair in sums]) for i in range(2))),
        "A": mean_parts(column["A"], np.array(tracked_by)),
        "R": mean_parts(column["R"], lengths),
    }
    return AnchorScores(
        eao=float(curve[low:high].mean()),
        accuracy=top / tracked_total if tracked_total else 0.0,
        robustness=weighted / sum(len(truth) for truth in truths),
        curve=curve,
        per_sequence=rows,
        parts=parts,
    )


def anchor_curve(runs: Sequence[AnchorRun], length: int) -> Floats:
    """[length] at index j the mean over runs of the mean overlap of frames 1 to j; zeros after a failure.

    A failed run goes on past its end as (sum of its overlaps) / (j - 1), an un-failed one is left out there: both are
    the toolkit's arithmetic. 0 at index 0 and where no run is left.
    """
    total, count = _sums(runs, length)
    return np.divide(total, count, out=np.zeros(length), where=count > 0)


def _sums(runs: Sequence[AnchorRun], length: int) -> tuple[Floats, Floats]:
    """[length] sum over runs of their mean overlap up to each index, and how many runs are left there."""
    total, count = np.zeros(length), np.zeros(length)
    index = np.arange(length)
    for run in runs:
        overlaps = np.where(np.arange(len(run.overlaps)) < run.tracked, run.overlaps, 0.0)
        overlaps[0] = 0.0
        inside = min(len(overlaps), length)
        sums = np.cumsum(overlaps)
        total[1:inside] += sums[1:inside] / index[1:inside]
        count[1:inside] += 1
        if run.failed:
            beyond = index[max(inside, 2) :]
            total[beyond] += sums[-1] / (beyond - 1)
            count[beyond] += 1
    return total, count


def _tracked(bad: NDArray[np.bool_]) -> int:
    """Frames before the first `GRACE` bad ones in a row, or all."""
    if len(bad) < GRACE:
        return len(bad)
    streaks = np.convolve(bad, np.ones(GRACE, dtype=np.int64), mode="valid") == GRACE
    return int(np.argmax(streaks)) if streaks.any() else len(bad)
