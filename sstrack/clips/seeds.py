"""Seed boxes without labels: what the first frame shows in front of the background that later frames uncover.

A thing that moves leaves its place. So a pixel of the first frame belongs to a moving thing if it differs from what
most later frames, brought onto the first one's view, show there; a place that the thing only passes through differs in
few frames. Camera motion is taken out as a translation found by phase correlation.
"""

import numpy as np
from numpy.typing import NDArray

from sstrack.clips.clip import SeedBox

Floats = NDArray[np.floating]

_STRONG = 24.0
"""Difference in grey levels that counts as full evidence."""
_EDGE_SLACK = 0.6
"""Pixels of misalignment that are forgiven at edges."""
_SMALLEST, _LARGEST = 0.0015, 0.3
"""Share of the frame that a seed's box may cover."""
_MOST_SEEDS = 5


def motion_seeds(luma_THW: NDArray[np.uint8]) -> list[SeedBox]:
    """Boxes of things on the first frame that move against the background, best first.

    Args:
        luma_THW: uint8, T >= 3 frames in time order, the first one the clip's first, the others over the next seconds;
            about 160 pixels on the long side.

    Returns: at most five seeds, boxes in pixels of the given frames (xywh), scores in 0..1; none where the frames show
    no motion or nothing that stands out from it.
    """
    if len(luma_THW) < 3:
        return []
    frames = [_smooth(frame.astype(np.float32)) for frame in luma_THW]
    first = frames[0]
    later = frames[1 + (len(frames) - 1) // 3 :]
    differences = np.stack([_difference(first, frame, *_shift(first, frame)) for frame in later])
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(differences).sum(0)
    typical = np.nanmedian(np.where(seen[None] > 0, differences, 0.0), axis=0).astype(np.float32)
    noise = float(np.median(typical))
    evidence = np.clip((typical - 2.0 * noise - 3.0) / _STRONG, 0.0, 1.0)
    return _boxes(evidence)


def _boxes(evidence: Floats) -> list[SeedBox]:
    """Ranked boxes around connected blobs of evidence `[H, W]` in 0..1."""
    mask = _close(evidence > 0.3)
    labels = _label(mask)
    height, width = evidence.shape
    found: list[SeedBox] = []
    for label in np.unique(labels[labels >= 0]):
        rows, columns = np.nonzero(labels == label)
        top, bottom = _span(rows, height)
        left, right = _span(columns, width)
        share = (bottom - top) * (right - left) / (height * width)
        if not _SMALLEST <= share <= _LARGEST or min(bottom - top, right - left) < 4:
            continue
        inside = labels[top:bottom, left:right] == label
        fill = float(inside.mean())
        strength = float(evidence[top:bottom, left:right][inside].mean())
        size = min(1.0, float(np.sqrt((bottom - top) * (right - left))) / 16)
        score = strength * min(1.0, fill / 0.7) * size
        found.append(SeedBox((float(left), float(top), float(right - left), float(bottom - top)), score, "motion"))
    return sorted(found, key=lambda seed: -seed.score)[:_MOST_SEEDS]


def _span(indices: NDArray[np.intp], size: int) -> tuple[int, int]:
    """First and past-last index of a blob along one axis, without the thin tails that stick out of it."""
    counts = np.bincount(indices, minlength=size)
    solid = np.nonzero(counts >= 0.15 * counts.max())[0]
    return int(solid[0]), int(solid[-1]) + 1


def _smooth(image: Floats) -> Floats:
    """3×3 binomial blur, edges repeated."""
    padded = np.pad(image, 1, mode="edge")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4


def _shift(first: Floats, other: Floats) -> tuple[float, float]:
    """Translation (dy, dx) in pixels, to a fraction of one, such that `other[y + dy, x + dx]` shows `first[y, x]`."""
    height, width = first.shape
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    spectrum = np.fft.rfft2((other - other.mean()) * window) * np.conj(np.fft.rfft2((first - first.mean()) * window))
    peak = np.fft.irfft2(spectrum / np.maximum(np.abs(spectrum), 1e-6), s=first.shape)
    y, x = np.unravel_index(int(peak.argmax()), peak.shape)
    dy = int(y) + _subpixel(peak[:, x], int(y))
    dx = int(x) + _subpixel(peak[y], int(x))
    return (dy - height if dy > height / 2 else dy), (dx - width if dx > width / 2 else dx)


def _subpixel(line: NDArray[np.float64], at: int) -> float:
    """Where between its neighbours the peak of a line lies, in -0.5..0.5 of a pixel."""
    before, peak, after = (max(float(line[(at + step) % len(line)]), 0.0) for step in (-1, 0, 1))
    return 0.5 * (after - before) / max(peak + max(after, before), 1e-9)


def _difference(first: Floats, other: Floats, dy: float, dx: float) -> Floats:
    """How far `first` is from the moved frame, beyond a slight misalignment; NaN where that shows nothing."""
    height, width = first.shape
    y, x = np.arange(height) + dy, np.arange(width) + dx
    moved = _between(_between(other, y, 0), x, 1)
    outside = ((y < 0) | (y > height - 1))[:, None] | ((x < 0) | (x > width - 1))[None]
    slope_y, slope_x = np.gradient(first)
    slack = _EDGE_SLACK * np.hypot(slope_y, slope_x)
    return np.where(outside, np.nan, np.maximum(np.abs(first - moved) - slack, 0)).astype(np.float32)


def _between(image: Floats, at: NDArray[np.float64], axis: int) -> Floats:
    """Linear interpolation of an image along one axis at fractional positions, edges repeated."""
    size = image.shape[axis]
    low = np.clip(np.floor(at), 0, size - 1).astype(int)
    high = np.minimum(low + 1, size - 1)
    part = np.clip(at - low, 0, 1).astype(np.float32)
    part = part[:, None] if axis == 0 else part[None]
    return np.take(image, low, axis) * (1 - part) + np.take(image, high, axis) * part


def _spread(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every pixel within one step of the mask, diagonals included."""
    padded = np.pad(mask, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]


def _close(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill gaps of up to four pixels, then drop what is thinner than three."""
    filled = ~_spread(_spread(~_spread(_spread(mask))))
    return _spread(~_spread(~filled)) & filled


def _label(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A number per connected blob (4-neighbours), -1 elsewhere: a blob's largest index spreads over all of it."""
    labels = np.where(mask, np.arange(mask.size).reshape(mask.shape), -1)
    while True:
        padded = np.pad(labels, 1, constant_values=-1)
        grown = np.maximum.reduce((labels, padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]))
        grown = np.where(mask, grown, -1)
        if np.array_equal(grown, labels):
            return labels
        labels = grown
