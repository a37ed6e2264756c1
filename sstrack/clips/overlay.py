"""What is burnt into the picture: text, logos and frames keep their place while all behind and between them moves."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

_CELL = 8
"""Pixels on a side of the cells that are counted."""
_EDGE = 12.0
"""Grey levels per pixel from which a slope is an edge."""
_STAYS = 0.9
"""Length of an edge's mean slope over time, relative to the mean of its lengths: 1 where it never changes."""
_MOVES = 8.0
"""Standard deviation over time, in grey levels, of a pixel that something moves across."""
_RESTS = 2.5
"""The same of the liveliest pixels in a row or column of a burnt-in border."""
_RIM = 3
"""Pixels around the picture, and inside a border, that are not looked at: coders leave thin lines there."""
_MOVING = 0.8
"""Share of the picture that has to move, else the camera may stand and nothing can be told."""


def overlay_share(luma_THW: NDArray[np.uint8]) -> float:
    """Share of the picture, 0..1, taken by borders that never change and by edges that stay where they are.

    Args:
        luma_THW: uint8, T >= 4 frames spread over the clip, with a long side of about 320 pixels.

    Returns: 0 where the camera may stand: a wall that is always there looks like a frame that is.
    """
    if len(luma_THW) < 4 or min(luma_THW.shape[1:]) < 8 * _CELL:
        return 0.0
    luma = luma_THW.astype(np.float32)
    deviation = luma.std(axis=0)
    top, bottom, left, right = _inside(deviation)
    top, left = top + _RIM, left + _RIM
    bottom, right = bottom - _RIM, right - _RIM
    height, width = (bottom - top) // _CELL * _CELL, (right - left) // _CELL * _CELL
    if height * width < 0.25 * deviation.size:
        return 0.0
    inner = np.s_[top : top + height, left : left + width]
    if (deviation[inner] > _MOVES).mean() < _MOVING:
        return 0.0
    whole = (deviation.shape[0] - 2 * _RIM) * (deviation.shape[1] - 2 * _RIM)
    border = 1 - (bottom - top) * (right - left) / whole
    return float(border + _burnt(luma[:, *inner]) * height * width / deviation.size)


def _inside(deviation_HW: Floats) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what is left without rows and columns at the rim that never change."""
    rows = np.flatnonzero(np.quantile(deviation_HW, 0.95, axis=1) > _RESTS)
    columns = np.flatnonzero(np.quantile(deviation_HW, 0.95, axis=0) > _RESTS)
    if len(rows) == 0 or len(columns) == 0:
        return 0, 0, 0, 0
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _burnt(luma_THW: Floats) -> float:
    """Share of the cells that hold a piece of an edge which is the same in all frames."""
    down, right = np.gradient(luma_THW, axis=(1, 2))
    length = np.hypot(down, right)
    usual = length.mean(axis=0)
    stays = np.hypot(down.mean(axis=0), right.mean(axis=0)) > _STAYS * usual
    persistent = stays & (length.min(axis=0) > _EDGE / 2) & (usual > _EDGE)
    height, width = persistent.shape
    cells = persistent.reshape(height // _CELL, _CELL, width // _CELL, _CELL).sum(axis=(1, 3))
    return float((cells >= _CELL // 2).mean())
