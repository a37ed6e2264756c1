"""Dissolves and fades: places where the picture goes from one to another in a straight line, neither moving nor cut."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

REACH = 6
"""Frames to either side that are compared."""
_MISFIT = 0.2
"""Mean distance from the straight line between the two pictures, relative to their difference. Motion misses it."""
_LARGEST_STEP, _BACKSTEP = 0.45, 0.05
"""Shares of the way that one frame may go forwards and back; a cut goes all of it in one."""
_SAME = 0.9
"""Correlation from which on two frames show one picture, in another light or clearer air. Ends of a blend have less."""
_SHIFT_ROWS, _SHIFT_COLUMNS = 4, 6
"""How far the camera may have moved meanwhile, in tiny pixels: a slow pan is nearly a straight line, too."""
_FADED = 0.5
"""Share of its contrast that a picture loses in a fade, and hardly ever while the light on it changes."""


def blending(frames_NHW: NDArray[np.uint8], level: float) -> NDArray[np.bool_]:
    """Frames in the middle of a blend: bool [N], False for the first and last `REACH`.

    Args:
        frames_NHW: uint8 tiny luma frames in order.
        level: mean difference of luma (0-255) across 2 * `REACH` frames from which on it is looked for.
    """
    flat = frames_NHW.reshape(len(frames_NHW), -1).astype(np.float32)
    found = np.zeros(len(flat), np.bool_)
    if len(flat) <= 2 * REACH:
        return found
    across = np.abs(flat[2 * REACH :] - flat[: -2 * REACH]).mean(axis=1)
    for middle in np.flatnonzero(across >= level) + REACH:
        start, end = flat[middle - REACH], flat[middle + REACH]
        way = end - start
        between = flat[middle - REACH + 1 : middle + REACH] - start
        length = float(way @ way)
        share = between @ way / length
        off = between - share[:, None] * way
        steps = np.diff(np.concatenate([[0], share, [1]]))
        straight = float((off * off).sum()) <= _MISFIT**2 * len(between) * length
        found[middle] = straight and steps.max() < _LARGEST_STEP and steps.min() > -_BACKSTEP
    return found


def blend_spans(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last frame of each blend from `blending`'s mask; those less than `REACH` apart are one."""
    middles = np.flatnonzero(mask)
    if not len(middles):
        return []
    groups = np.split(middles, np.flatnonzero(np.diff(middles) > REACH) + 1)
    half = REACH // 2
    return [(int(group[0]) - half, int(group[-1]) + half) for group in groups]


def show_one_picture(one_HW: NDArray[np.uint8], other_HW: NDArray[np.uint8]) -> bool:
    """Whether two tiny frames show the same but for its light and where the camera looks: what lies between them is no
    change of shot."""
    one, other = one_HW.astype(np.float64), other_HW.astype(np.float64)
    least, most = sorted((one.std(), other.std()))
    if least <= _FADED * most:
        return False
    shifts = product(range(-_SHIFT_ROWS, _SHIFT_ROWS + 1), range(-_SHIFT_COLUMNS, _SHIFT_COLUMNS + 1))
    return any(_correlation(one, other, down, right) > _SAME for down, right in shifts)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64], down: int, right: int) -> float:
    """Of what both show where `other` is `one` moved by so many rows and columns; 0 where either is flat."""
    height, width = one.shape
    a = one[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    b = other[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0
