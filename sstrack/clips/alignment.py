"""Camera motion taken out: later frames of a clip brought onto the view of its first one, as far as that goes.

The motion of the picture as a whole is taken for the camera's: an affine map per frame, found by phase correlation and
refined by weighted least squares in which what moves on its own has no say.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_AGREE = 10.0
"""Grey levels: pixels that differ by less are taken for background that fits."""
_LEAST_AGREEMENT = 0.45
"""Share of the seen pixels that has to fit, else a frame's alignment is not believed."""
_LEAST_OVERLAP = 0.4
"""Share of the first frame that a later one has to show."""
_ROUNDS = ((3, 6, 2), (1, 4, 2), (1, 5, 6))
"""Blurs, iterations and free parameters of each round of refinement: a shift first, then an affine map."""
_GAIN = 0.02
"""Share of pixels that an affine map has to win over the shift it started from."""


def align(luma_THW: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Bring frames onto the first one's view.

    Args:
        luma_THW: uint8, T >= 2 frames in time order.

    Returns: the first frame, float32 [H, W], and K <= T - 1 later frames, float32 [K, H, W], in its view: NaN where
        they do not show it; frames whose view cannot be found, or shows too little of the first, are left out.
    """
    frames = [blur(frame.astype(np.float32)) for frame in luma_THW]
    first = frames[0]
    height, width = first.shape
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    moved: list[Floats] = []
    before, view = first, np.zeros((2, 3))
    for frame in frames[1:]:
        chained = view.copy()
        chained[:, 0] += _shift(before, frame)
        direct = np.zeros((2, 3))
        direct[:, 0] = _shift(first, frame)
        view = min((_refine(first, frame, start) for start in (chained, direct)), key=lambda found: -found[0])[1]
        before = frame
        seen = _warp(frame, view, v, u)
        shown = np.isfinite(seen)
        if shown.mean() < _LEAST_OVERLAP:
            continue
        if (np.abs(seen - first)[shown] < _AGREE).mean() >= _LEAST_AGREEMENT:
            moved.append(seen)
    return first, np.stack(moved) if moved else np.zeros((0, height, width), np.float32)


def blur(image: Floats) -> Floats:
    """3x3 binomial blur of [H, W], edges repeated."""
    padded = np.pad(image, 1, mode="edge")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return ((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4).astype(np.float32)


def _refine(first: Floats, frame: Floats, start: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """The map near `start` that fits best, and the share of pixels that fit under it.

    A map [2, 3] sends (y, x) of the first frame to (y, x) + map @ (1, y', x'), y' and x' running from -1 to 1.
    """
    height, width = first.shape
    view, share = start, 0.0
    v, u = (grid.astype(np.float32) for grid in np.mgrid[2 : height - 2 : 2, 2 : width - 2 : 2])
    basis = np.stack([np.ones_like(v), 2 * v / (height - 1) - 1, 2 * u / (width - 1) - 1], -1).reshape(-1, 3)
    rows, columns = v.astype(int), u.astype(int)
    for blurs, iterations, free in _ROUNDS:
        still, other = first, frame
        for _ in range(blurs):
            still, other = blur(still), blur(other)
        at = still[rows, columns].ravel()
        slopes = np.asarray(np.gradient(still))[:, rows, columns].reshape(2, -1).T
        terms = slopes if free == 2 else (slopes[:, :, None] * basis[:, None, :]).reshape(-1, 6)
        stiff = np.diag([10.0, 10.0] if free == 2 else [10.0, 500.0, 500.0] * 2)
        found, fits = view, 0.0
        for _ in range(iterations):
            residual = _warp(other, found, v, u).ravel() - at
            shown = np.isfinite(residual)
            if shown.sum() < 50:
                return 0.0, start
            residual = np.where(shown, residual, 0)
            residual -= np.median(residual[shown])  # the exposure may drift
            fits = float((np.abs(residual[shown]) < _AGREE / 2).mean())
            scale = max(2.0, 2.0 * float(np.median(np.abs(residual[shown]))))
            weighted = terms * (shown / (1 + (residual / scale) ** 2) ** 2)[:, None]
            step = np.linalg.solve(weighted.T @ terms + stiff, -(weighted.T @ residual))
            found = found + (np.pad(step[:, None], ((0, 0), (0, 2))) if free == 2 else step.reshape(2, 3))
            if np.abs(step).max() < 0.02:
                break
        if free == 2 or fits > share + _GAIN:
            view, share = found, fits
    return share, view


def _warp(image: Floats, view: NDArray[np.float64], v: Floats, u: Floats) -> Floats:
    """`image` at the places where `view` sends rows `v` and columns `u`, bilinear; NaN outside."""
    height, width = image.shape
    down, right = 2 * v / (height - 1) - 1, 2 * u / (width - 1) - 1
    y = (v + view[0, 0] + view[0, 1] * down + view[0, 2] * right).astype(np.float32)
    x = (u + view[1, 0] + view[1, 1] * down + view[1, 2] * right).astype(np.float32)
    inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    row = np.clip(y, 0, height - 1.001).astype(np.intp)
    column = np.clip(x, 0, width - 1.001).astype(np.intp)
    part_y, part_x = y - row, x - column
    flat = image.ravel()
    corner = row * width + column
    above = flat[corner] * (1 - part_x) + flat[corner + 1] * part_x
    below = flat[corner + width] * (1 - part_x) + flat[corner + width + 1] * part_x
    return np.where(inside, above * (1 - part_y) + below * part_y, np.float32(np.nan)).astype(np.float32)


def _shift(first: Floats, other: Floats) -> tuple[float, float]:
    """Whole pixels (dy, dx) such that `other[y + dy, x + dx]` shows `first[y, x]`, by phase correlation."""
    height, width = first.shape
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    spectrum = np.fft.rfft2((other - other.mean()) * window) * np.conj(np.fft.rfft2((first - first.mean()) * window))
    peak = np.fft.irfft2(spectrum / np.maximum(np.abs(spectrum), 1e-6), s=first.shape)
    y, x = np.unravel_index(int(peak.argmax()), peak.shape)
    return float(y - height if y > height / 2 else y), float(x - width if x > width / 2 else x)
