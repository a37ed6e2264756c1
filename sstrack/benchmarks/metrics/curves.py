"""Success and precision curves of one-pass evaluation: overlaps and centre errors per frame, shares per threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

OVERLAPS: Floats = np.arange(21, dtype=np.float64) * 0.05
PIXELS: Floats = np.arange(51, dtype=np.float64)
SIDES: Floats = np.arange(51, dtype=np.float64) / 100
"""Thresholds of overlap (strictly above counts), of centre error in pixels and in sides of the box (at most counts)."""

MISS, HIT = np.inf, -1.0
"""Centre errors that fail, or pass, every threshold. An overlap of -1 passes none."""


@dataclass(frozen=True)
class FrameScores:
    """Frames of one sequence after a rule has decided about each."""

    overlap: Floats
    """[N] -1 on frames that count as missed."""
    error: Floats
    """[N] centre error in pixels, `MISS` or `HIT`."""
    norm_error: Floats
    """[N] centre error, x in widths and y in heights of the true box."""
    frames: int
    """What shares are divided by: N, or more where a rule removes frames but keeps their number."""
    valid: Mask
    """[N] frames with a usable truth, for the mean overlap."""


def overlaps(predicted: Floats, truth: Floats) -> Floats:
    """[T] intersection over union of [T, 4] xywh boxes; NaN where a number is, 0 where both are empty."""
    low = np.maximum(predicted[:, :2], truth[:, :2])
    high = np.minimum(predicted[:, :2] + predicted[:, 2:], truth[:, :2] + truth[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    union = predicted[:, 2:].prod(axis=1) + truth[:, 2:].prod(axis=1) - shared
    return np.divide(shared, union, out=np.where(np.isnan(union), np.nan, 0.0), where=union > 0)


def centre_errors(predicted: Floats, truth: Floats, *, scaled_apart: bool = True) -> tuple[Floats, Floats]:
    """[T] distance of centres x + (w - 1) / 2 in pixels, and with each axis divided by the true box's side.

    `scaled_apart` divides both centres before they are subtracted, as the Matlab toolkits, pytracking and pysot do; the
    got10k toolkit divides the difference. On whole-number boxes that decides ties at 0.2: 0.006 points on OTB100.
    """
    a, b = (boxes[:, :2] + (boxes[:, 2:] - 1) / 2 for boxes in (predicted, truth))
    side = truth[:, 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        norm = a / side - b / side if scaled_apart else (a - b) / side
        return np.sqrt(np.square(a - b).sum(axis=1)), np.sqrt(np.square(norm).sum(axis=1))


def shares_above(values: Floats, thresholds: Floats, frames: int) -> Floats:
    """[K] share of `frames` whose value is strictly above each threshold; NaN is above none."""
    ordered = np.sort(values[~np.isnan(values)])
    return (len(ordered) - np.searchsorted(ordered, thresholds, side="right")) / frames


def shares_within(values: Floats, thresholds: Floats, frames: int) -> Floats:
    """[K] share of `frames` whose value is at most each threshold; NaN is within none."""
    ordered = np.sort(values[~np.isnan(values)])
    return np.searchsorted(ordered, thresholds, side="right") / frames
