"""Whether pictures have the size that their labels are about: frames that were shrunk or turned after labelling make
every box wrong, and nothing else would say so."""

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.headers import Header

MOST_OUTSIDE = 0.05
"""Share of boxes whose centres may lie outside of the picture."""


def contradiction(header: Header, boxes: NDArray[np.float64], stated: tuple[int, int] | None) -> str:
    """What is wrong with a picture of this size under these labels, in words; empty where they agree.

    Args:
        boxes: [T, 4] xywh of the sequence, 0-based; rows of NaN or without an area are passed over.
        stated: width and height that the labels' files state, None where they state none.
    """
    width, height = header.upright
    if stated is not None and stated != (width, height):
        return f"the pictures are {width}x{height}, their labels are for {stated[0]}x{stated[1]}{_turned(header)}"
    known = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    outside = _outside(boxes, width, height) & known
    if not known.any() or not (outside[int(np.argmax(known))] or outside.sum() > MOST_OUTSIDE * known.sum()):
        return ""
    fits = not (_outside(boxes, header.width, header.height) & known).any()
    return (
        f"the pictures are {width}x{height}, but {int(outside.sum())} of {int(known.sum())} boxes are centred outside, "
        f"the first in row {int(np.argmax(outside)) + 1}{_turned(header) if fits else ''}"
    )


def _outside(boxes: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    x, y = boxes[:, 0] + boxes[:, 2] / 2, boxes[:, 1] + boxes[:, 3] / 2
    return (x < 0) | (y < 0) | (x > width) | (y > height)


def _turned(header: Header) -> str:
    """What an EXIF orientation has to do with it."""
    if header.orientation == 1:
        return ""
    return f"; EXIF orientation {header.orientation} turns what is stored as {header.width}x{header.height}"
