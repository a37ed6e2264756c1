"""Boxes around what a map of evidence marks: the rectangle with the largest sum, found exactly, again and again."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Span = tuple[int, int, int, int]
"""top, bottom, left, right of a rectangle of pixels, half open."""


def best_rectangles(gain_HW: Floats, count: int, stride: int = 2) -> list[tuple[Span, float]]:
    """Up to `count` disjoint rectangles with the largest positive sums of `gain` [H, W], best first, with those sums.

    Searched exactly on a grid of `stride` pixels, then each edge is moved to the pixel. Evidence has to be positive
    where something is and negative elsewhere, or the whole map is the best rectangle.
    """
    left_over = gain_HW.astype(np.float32).copy()
    height, width = left_over.shape
    found: list[tuple[Span, float]] = []
    for _ in range(count):
        rows, columns = height // stride, width // stride
        coarse = left_over[: rows * stride, : columns * stride].reshape(rows, stride, columns, stride).sum((1, 3))
        span, total = _largest(coarse)
        if total <= 0:
            break
        top, bottom, left, right = (edge * stride for edge in span)
        span, total = _settle(left_over, (top, bottom, left, right), stride)
        found.append((span, total))
        top, bottom, left, right = span
        left_over[top:bottom, left:right] = np.minimum(left_over[top:bottom, left:right], -1)
    return found


def _largest(gain: Floats) -> tuple[Span, float]:
    """Kadane's scan down the rows for all pairs of columns at once."""
    rows, columns = gain.shape
    ahead = np.zeros((rows, columns + 1), np.float32)
    np.cumsum(gain, axis=1, out=ahead[:, 1:])
    lefts, rights = np.triu_indices(columns + 1, 1)
    running = np.zeros(len(lefts), np.float32)
    since = np.zeros(len(lefts), np.int32)
    best = np.full(len(lefts), -np.inf, np.float32)
    best_top = np.zeros(len(lefts), np.int32)
    best_bottom = np.zeros(len(lefts), np.int32)
    for row in range(rows):
        fresh = running <= 0
        since[fresh] = row
        running = np.where(fresh, 0, running) + (ahead[row, rights] - ahead[row, lefts])
        better = running > best
        best[better], best_top[better], best_bottom[better] = running[better], since[better], row + 1
    at = int(best.argmax())
    return (int(best_top[at]), int(best_bottom[at]), int(lefts[at]), int(rights[at])), float(best[at])


def _settle(gain: Floats, span: Span, reach: int) -> tuple[Span, float]:
    """Move each edge by up to `reach` pixels while the sum grows."""
    height, width = gain.shape
    total = integral(gain)
    edges = list(span)
    best = box_sum(total, span)
    for _ in range(4):
        before = best
        for side in range(4):
            for step in range(-reach, reach + 1):
                trial = edges.copy()
                trial[side] += step
                top, bottom, left, right = trial
                if not (0 <= top < bottom <= height and 0 <= left < right <= width):
                    continue
                value = box_sum(total, (top, bottom, left, right))
                if value > best:
                    best, edges = value, trial
        if best <= before:
            break
    return (edges[0], edges[1], edges[2], edges[3]), best


def integral(values: Floats) -> NDArray[np.float64]:
    """Sums over all rectangles that start at the corner, [H + 1, W + 1]."""
    return np.pad(values.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)


def box_sum(total: NDArray[np.float64], span: Span) -> float:
    """Sum over one rectangle, from `integral`."""
    top, bottom, left, right = span
    return float(total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left])
