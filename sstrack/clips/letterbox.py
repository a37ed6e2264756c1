"""Black bars around a picture: found on a few whole frames, to be cut off before anything is stored."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLACK = 30
"""Luma that black may have: 16 in limited range, and what a coder adds."""
_DARKEST_MEAN = 0.98 * _BLACK + 0.02 * 255 + 1.0
"""A row of which 98 % is black has no larger mean."""
_EVEN = 5.0
"""Standard deviation in a bar's row: a night sky varies more."""
_STEP = 12.0
"""Grey levels by which the picture beside a bar has to be brighter, in some frame."""
_LEAST, _MOST = 0.01, 0.7
"""Share of a side that two bars take together."""
_UNEQUAL = 0.25
"""Difference between opposite bars, relative to the larger: bars come in pairs, a dark corner does not."""


@dataclass(frozen=True)
class Bars:
    """Pixels to cut off each side, all even."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return bool(self.top or self.bottom or self.left or self.right)


def find_bars(frames: Iterable[NDArray[np.uint8]]) -> Bars:
    """The bars that all luma frames [H, W] of one video have. Takes no more frames than it takes to rule bars out.

    Frames that are dark all over say nothing and are passed over.
    """
    rims: list[tuple[int, ...]] = []
    levels: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for frame in frames:
        (rows, tall), (columns, wide) = _dark_rim(frame), _dark_rim(frame.T)
        if sum(rows) >= len(frame) or sum(columns) >= frame.shape[1]:
            continue
        rims.append((*rows, *columns))
        levels.append((tall, wide))
        if not np.min(rims, axis=0).any():
            break
    if not rims:
        return Bars()
    top, bottom, left, right = np.min(rims, axis=0).tolist()
    tall, wide = (np.max([level[side] for level in levels], axis=0) for side in (0, 1))
    return Bars(*_pair(top, bottom, tall), *_pair(left, right, wide))


def _dark_rim(frame: NDArray[np.uint8]) -> tuple[tuple[int, int], NDArray[np.float32]]:
    """How many rows are black at the top and at the bottom, all of them in a dark frame, and each row's mean."""
    values = frame[:, :: max(1, frame.shape[1] // 512)].astype(np.float32)
    means = values.mean(axis=1)
    bar = means <= _DARKEST_MEAN  # all that the exact test, which is slow, could find
    bar[bar] = (np.quantile(values[bar], 0.98, axis=1) <= _BLACK) & (values[bar].std(axis=1) <= _EVEN)
    inside = np.flatnonzero(~bar)
    rim = (int(inside[0]), len(bar) - 1 - int(inside[-1])) if len(inside) else (len(bar), len(bar))
    return rim, means


def _pair(one: int, other: int, level: NDArray[np.float32]) -> tuple[int, int]:
    """Two opposite bars rounded up to even pixels; none where they are no pair, leave too little, or end at nothing
    brighter. `level` holds the brightest mean of each row over all frames."""
    if not one or not other or abs(one - other) > max(4, _UNEQUAL * max(one, other)):
        return 0, 0
    if not _LEAST <= (one + other) / len(level) <= _MOST:
        return 0, 0
    end = len(level) - other
    if (
        level[one : one + 4].max() < level[:one].mean() + _STEP
        or level[end - 4 : end].max() < level[end:].mean() + _STEP
    ):
        return 0, 0
    return one + one % 2, other + other % 2
