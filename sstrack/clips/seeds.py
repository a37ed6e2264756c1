"""Seed boxes without labels: what the first frame shows in front of the background that later frames uncover.

A thing that moves leaves its place. So a pixel of the first frame belongs to a moving thing if it differs from what
most later frames, brought onto the first one's view, show there; a place that the thing only passes through differs in
few frames.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from sstrack.clips.alignment import align
from sstrack.clips.clip import SeedBox
from sstrack.clips.regions import Span, best_rectangles, box_sum, integral

Floats = NDArray[np.float32]

_STRONG = 20.0
"""Difference in grey levels that counts as full evidence."""
_EDGE_SLACK = 0.6
"""Pixels of misalignment that are forgiven at edges."""
_PRICES = (0.3, 0.45, 0.6)
"""Evidence that a pixel must have to be worth a place in a box; each gives candidates."""
_RING = 5
"""Least width in pixels of the surroundings that should show no evidence."""
_REACH = 12
"""Pixels that a thing may move between two of the frames."""
_UNLIKE = 25.0
"""Mean grey level difference at which two patches have nothing in common."""
_SMALLEST, _LARGEST = 0.0015, 0.35
"""Share of the frame that a seed's box may cover."""
_WIDEST = 0.8
"""Share of the frame's width or height that it may span."""
_MOST_SEEDS = 5


def motion_seeds(luma_THW: NDArray[np.uint8]) -> list[SeedBox]:
    """Boxes of things on the first frame that move against the background, best first.

    Args:
        luma_THW: uint8, T >= 4 frames in time order, the first one the clip's first, the others over the next seconds;
            about 160 pixels on the long side.

    Returns: at most five seeds, boxes in pixels of the given frames (xywh), scores in 0..1; none where the frames show
    no motion or nothing that stands out from it.
    """
    if len(luma_THW) < 4:
        return []
    first, later = align(luma_THW)
    if len(later) < 3:
        return []
    evidence = _evidence(first, later)
    total = integral(evidence)
    found: list[tuple[float, Span]] = []
    for price in _PRICES:
        for span, _ in best_rectangles(evidence - price, _MOST_SEEDS):
            top, bottom, left, right = span
            share = (bottom - top) * (right - left) / evidence.size
            spread = max((bottom - top) / evidence.shape[0], (right - left) / evidence.shape[1])
            if _SMALLEST <= share <= _LARGEST and spread <= _WIDEST and min(bottom - top, right - left) >= 4:
                found.append((_wholeness(total, span), span))
    likely = _distinct(sorted(found, reverse=True), 0.7)[: 2 * _MOST_SEEDS]
    ranked = sorted(((score * _travel(first, later, span), span) for score, span in likely), reverse=True)
    return [
        SeedBox((float(left), float(top), float(right - left), float(bottom - top)), score, "motion")
        for score, (top, bottom, left, right) in _distinct(ranked, 0.3)[:_MOST_SEEDS]
    ]


def _distinct(ranked: list[tuple[float, Span]], most: float) -> list[tuple[float, Span]]:
    """Candidates that share no more than `most` of the smaller box with a better one."""
    kept: list[tuple[float, Span]] = []
    for score, span in ranked:
        if all(_common(span, other) <= most for _, other in kept):
            kept.append((score, span))
    return kept


def _common(one: Span, other: Span) -> float:
    rows = min(one[1], other[1]) - max(one[0], other[0])
    columns = min(one[3], other[3]) - max(one[2], other[2])
    smaller = min((box[1] - box[0]) * (box[3] - box[2]) for box in (one, other))
    return max(0, rows) * max(0, columns) / smaller


def _evidence(first: Floats, later: Floats) -> Floats:
    """How surely each pixel of the first frame shows something that leaves: [H, W] in 0..1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # places that no frame shows
        background = np.nan_to_num(np.nanmedian(later, axis=0))
    slack = _EDGE_SLACK * np.minimum(_slope(first), _slope(background))
    difference = np.maximum(np.abs(later - first) - slack, 0)
    seen = np.isfinite(difference).sum(0)
    enough = seen >= max(3, len(later) // 2)
    typical = np.nanmedian(np.where(enough, difference, 0), axis=0)
    noise = float(np.median(typical))
    return _close(np.clip((typical - 2.0 * noise - 3.0) / _STRONG, 0, 1).astype(np.float32))


def _slope(image: Floats) -> Floats:
    slope_y, slope_x = np.gradient(image)
    return np.hypot(slope_y, slope_x)


def _close(evidence: Floats) -> Floats:
    """Fill holes of up to four pixels."""
    edged = np.pad(evidence, 2, mode="edge")
    wide = np.lib.stride_tricks.sliding_window_view(edged, (5, 5)).max((2, 3))
    edged = np.pad(wide, 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(edged, (5, 5)).min((2, 3))


def _wholeness(total: NDArray[np.float64], span: Span) -> float:
    """How much a box looks like one whole thing, 0..1: filled with evidence, none just outside, and not tiny."""
    top, bottom, left, right = span
    height, width = total.shape[0] - 1, total.shape[1] - 1
    more_y, more_x = max(_RING, (bottom - top) // 3), max(_RING, (right - left) // 3)
    outer = (max(0, top - more_y), min(height, bottom + more_y), max(0, left - more_x), min(width, right + more_x))
    area = (bottom - top) * (right - left)
    inside = box_sum(total, span)
    alone = inside / max(box_sum(total, outer), 1e-6)
    return alone * min(1.0, inside / area / 0.7) * min(1.0, float(np.sqrt(area)) / 16)


def _travel(first: Floats, later: Floats, span: Span) -> float:
    """How well what the box holds can be followed to places that show something else in the first frame, 0..1.

    A place that another thing covers later looks like a leaving thing, but what it holds goes nowhere.
    """
    top, bottom, left, right = span
    height, width = first.shape
    step = max(1, round(np.sqrt((bottom - top) * (right - left) / 120)))
    rows, columns = (grid.ravel() for grid in np.mgrid[top:bottom:step, left:right:step])
    patch = first[rows, columns]
    down, across = (grid.ravel() for grid in np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1])
    at_y, at_x, worth = 0, 0, []
    for frame in later:
        y = rows[None] + (down + at_y)[:, None]
        x = columns[None] + (across + at_x)[:, None]
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
        there = np.where(inside, frame[y, x], np.nan)
        shown = np.isfinite(there)
        likeness = 1 - np.where(shown, np.minimum(np.abs(there - patch), 2 * _UNLIKE), _UNLIKE).mean(1) / _UNLIKE
        news = np.where(shown, np.minimum(np.abs(there - first[y, x]) / _STRONG, 1), 0).mean(1)
        value = np.maximum(likeness, 0) * np.minimum(news / 0.5, 1)
        best = int(value.argmax())
        worth.append(float(value[best]))
        if value[best] > 0.2:
            at_y, at_x = at_y + int(down[best]), at_x + int(across[best])
    return float(np.mean(worth))


def merged(first: list[SeedBox], other: list[SeedBox]) -> list[SeedBox]:
    """Seeds of two finders, best first, at most five: of two that mean the same thing (IoU of 0.5 and more) the surer
    one, which counts for more as both found it."""
    chosen: list[SeedBox] = []
    for seed in sorted((*first, *other), key=lambda each: -each.score):
        alike = next((place for place, each in enumerate(chosen) if _iou(each, seed) >= 0.5), None)
        if alike is None:
            chosen.append(seed)
        elif chosen[alike].source != seed.source:
            kept = chosen[alike]
            chosen[alike] = SeedBox(kept.box, 1 - (1 - kept.score) * (1 - seed.score), kept.source)
    return sorted(chosen, key=lambda each: -each.score)[:_MOST_SEEDS]


def _iou(one: SeedBox, other: SeedBox) -> float:
    (x, y, w, h), (u, v, q, r) = one.box, other.box
    inner = max(0.0, min(x + w, u + q) - max(x, u)) * max(0.0, min(y + h, v + r) - max(y, v))
    return inner / (w * h + q * r - inner)
