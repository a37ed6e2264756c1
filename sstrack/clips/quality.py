"""Verdicts on clips: the scores that are kept of each, and which of them rule a clip out under given limits.

Scores do not depend on the limits, so a dataset can be judged again from its kept scores alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sstrack.clips.overlay import overlay_share
from sstrack.clips.sharpness import sharpness
from sstrack.clips.stills import stillness

SCORES = ("luma", "contrast", "motion", "frozen", "slides", "sharpness", "overlay", "bars")
"""Names of the scores of a clip, in the order of the clips table:

luma, contrast  medians over time of the mean and the standard deviation of the luma (0-255)
motion          how much the most changed spots differ from half a second earlier, median over time (0-255)
frozen          share of the time in which nothing changes (0-1)
slides          share of the time in which photographs are shown, moved or changed for the next (0-1)
sharpness       fine detail at the strongest edges, relative to coarse detail; upper quartile over frames
overlay         share of the picture under burnt-in text, logos and borders (0-1); 0 where the camera stands
bars            share of the source's picture that was black bars and is cropped (0-1)
"""

VERDICTS = ("too_short", "black", "flat", "frozen", "near_static", "slideshow", "blurred", "overlay")
"""Names of verdicts, in the order in which the first that holds is the reason of a drop."""


@dataclass(frozen=True)
class Limits:
    """Where a score becomes a verdict; see `SCORES` for the units."""

    min_frames: int
    black_level: float
    flat_level: float
    frozen_share: float
    still_level: float
    slideshow_share: float
    blur_level: float
    overlay_share: float


def clip_scores(
    measures: NDArray[np.float32], tiny_THW: NDArray[np.uint8], luma_THW: NDArray[np.uint8], bars: float
) -> dict[str, float]:
    """All scores of one clip.

    Args:
        measures: float32 [n, 5], the clip's rows of `LumaTrack.measures`.
        tiny_THW: uint8 tiny frames, `stills.RATE` per second.
        luma_THW: uint8 frames spread over the clip, about 320 pixels on the long side.
        bars: share of the picture that was cropped.
    """
    rest = stillness(tiny_THW)
    sharp = [sharpness(frame) for frame in luma_THW]
    return {
        **span_scores(measures),
        "frozen": rest.frozen,
        "slides": rest.slides,
        "sharpness": float(np.quantile(sharp, 0.75)) if sharp else 0.0,
        "overlay": overlay_share(luma_THW),
        "bars": bars,
    }


def span_scores(measures: NDArray[np.float32]) -> dict[str, float]:
    """`luma`, `contrast` and `motion` from rows [n, 5] of `LumaTrack.measures`; all zero where there is no row.

    Motion counts the frames that have half a second of past within this clip.
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


def verdicts(scores: Mapping[str, float], frames: int, limits: Limits) -> tuple[str, ...]:
    """All that speaks against a clip, in the order of `VERDICTS`. A score that is missing or NaN says nothing."""

    def score(name: str, otherwise: float) -> float:
        value = scores.get(name, otherwise)
        return otherwise if np.isnan(value) else value

    light = score("luma", 255.0), score("contrast", 255.0)
    against = {
        "too_short": frames < limits.min_frames,
        "black": light[0] < limits.black_level and light[1] < 2 * limits.flat_level,
        "flat": light[1] < limits.flat_level,
        "frozen": score("frozen", 0.0) > limits.frozen_share,
        "near_static": score("motion", 255.0) < limits.still_level,
        "slideshow": score("slides", 0.0) > limits.slideshow_share,
        "blurred": score("sharpness", 1.0) < limits.blur_level,
        "overlay": score("overlay", 0.0) > limits.overlay_share,
    }
    return tuple(name for name in VERDICTS if against[name])
