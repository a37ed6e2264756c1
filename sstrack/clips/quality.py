"""Verdicts on clips: what the tiny luma stream and the first frames score, and which scores rule a clip out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Thresholds:
    """Limits below which a clip is dropped; luma levels 0-255, length in stored frames."""

    black: float
    flat: float
    still: float
    min_frames: int


def score_span(measures: NDArray[np.float32]) -> dict[str, float]:
    """Scores of one clip from its rows [n, 5] of `LumaTrack.measures`; all zero where there is no row.

    `luma` and `contrast` are medians over time; `motion` is how much the most changed spots differ from half a second
    earlier (median over the frames that have so long a past in this clip).
    """
    if len(measures) == 0:
        return {"luma": 0.0, "contrast": 0.0, "motion": 0.0}
    mean, spread, _, drift, reach = measures.T
    inside = np.arange(len(measures)) >= reach
    moved = drift[inside & (reach > 0)]
    return {
        "luma": float(np.median(mean)),
        "contrast": float(np.median(spread)),
        "motion": float(np.median(moved)) if len(moved) else 0.0,
    }


def verdict(scores: dict[str, float], frames: int, limits: Thresholds) -> str | None:
    """Why a clip is dropped, None if it is kept: too_short, black, flat or frozen, in this order."""
    if frames < limits.min_frames:
        return "too_short"
    if scores["luma"] < limits.black and scores["contrast"] < 2 * limits.flat:
        return "black"
    if scores["contrast"] < limits.flat:
        return "flat"
    if scores["motion"] < limits.still:
        return "frozen"
    return None


def sharpness(luma_HW: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of one luma frame [H, W]; low where it is blurred. 0 for frames below 3x3."""
    if min(luma_HW.shape) < 3:
        return 0.0
    luma = luma_HW.astype(np.float32)
    edges = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    return float(edges.var())
