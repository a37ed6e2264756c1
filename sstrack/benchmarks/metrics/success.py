"""Overlap scores of one sequence: IoU per frame, average overlap, success rate, success plot.

The rule named `got10k-like` here averages the overlap over every frame after the first that has a true box, then
over sequences with equal weight. That is GOT-10k's arithmetic; it is not that benchmark's server: frames without
truth are left out instead of being judged, and no frame is cut for absence labels.
"""

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.registry import Rule, SequenceScore
from sstrack.benchmarks.sequence import Sequence

Boxes = NDArray[np.float64]

SUCCESS_THRESHOLDS: NDArray[np.float64] = np.linspace(0.0, 1.0, 21)


def overlap(predicted: Boxes, truth: Boxes) -> NDArray[np.float64]:
    """Intersection over union per row.

    Args:
        predicted: [T, 4] boxes, xywh in pixels.
        truth: [T, 4] boxes; a row with NaN has no truth.

    Returns:
        [T] values in 0..1. NaN where truth has NaN; 0 where a prediction is not finite, or both boxes are empty.
    """
    if predicted.shape != truth.shape or predicted.shape[-1:] != (4,):
        raise ValueError(f"expected two [T, 4] arrays of boxes, got {predicted.shape} and {truth.shape}")
    known: NDArray[np.bool_] = np.all(~np.isnan(truth), axis=-1)
    usable: NDArray[np.bool_] = known & np.all(np.isfinite(predicted), axis=-1)
    p = np.where(usable[..., None], predicted, 0.0)
    t = np.where(usable[..., None], truth, 0.0)
    p_size, t_size = np.maximum(p[..., 2:], 0.0), np.maximum(t[..., 2:], 0.0)
    low = np.maximum(p[..., :2], t[..., :2])
    high = np.minimum(p[..., :2] + p_size, t[..., :2] + t_size)
    inter = np.maximum(high - low, 0.0).prod(axis=-1)
    union = p_size.prod(axis=-1) + t_size.prod(axis=-1) - inter
    iou = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    return np.where(known, np.clip(iou, 0.0, 1.0), np.nan)


def average_overlap(iou: NDArray[np.float64]) -> float:
    """Mean of [T] overlaps over the frames after the first that have truth, 0..1; NaN when there is none."""
    judged = iou[1:][~np.isnan(iou[1:])]
    return float(judged.mean()) if judged.size else float("nan")


def success_rate(iou: NDArray[np.float64], threshold: float) -> float:
    """Share of the frames after the first with truth whose overlap is above `threshold`, 0..1; NaN when none."""
    judged = iou[1:][~np.isnan(iou[1:])]
    return float((judged > threshold).mean()) if judged.size else float("nan")


def success_plot(iou: NDArray[np.float64]) -> NDArray[np.float64]:
    """[21] success rate at the thresholds 0, 0.05 … 1; its mean is the area under the success plot."""
    return np.array([success_rate(iou, float(threshold)) for threshold in SUCCESS_THRESHOLDS])


def score_like_got10k(predicted: Boxes, sequence: Sequence) -> SequenceScore:
    """AO, SR50, SR75 and success-plot AUC of one sequence, in percent."""
    if len(predicted) != len(sequence):
        raise ValueError(f"sequence {sequence.name!r} has {len(sequence)} frames, but {len(predicted)} predicted boxes")
    iou = overlap(predicted, sequence.boxes)
    return SequenceScore(
        {
            "AO": 100 * average_overlap(iou),
            "SR50": 100 * success_rate(iou, 0.5),
            "SR75": 100 * success_rate(iou, 0.75),
            "AUC": 100 * float(success_plot(iou).mean()),
        }
    )


GOT10K_LIKE = Rule(
    name="got10k-like",
    describe="mean overlap over the frames after the first that have truth, then over sequences with equal weight",
    score=score_like_got10k,
)
