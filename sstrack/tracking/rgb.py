"""Any usual picture array as the tracker wants it: [H, W, 3] uint8 RGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_rgb(frame: NDArray[Any]) -> NDArray[np.uint8]:
    """`frame` as [H, W, 3] uint8 RGB, contiguous and writable, as torch wants it.

    Grayscale ([H, W] or [H, W, 1]) is repeated to three channels, alpha ([H, W, 4]) is left out, and uint16 keeps its
    upper byte. Raises ValueError for other shapes and types, and for an empty picture.
    """
    if frame.ndim == 2:
        frame = frame[:, :, None]
    known = frame.dtype == np.uint8 or frame.dtype == np.uint16
    if frame.ndim != 3 or frame.shape[2] not in (1, 3, 4) or 0 in frame.shape or not known:
        raise ValueError(
            f"frame of shape {frame.shape} and type {frame.dtype}: need [height, width, 3] RGB (or grayscale, or RGBA) "
            "as uint8 or uint16"
        )
    if frame.dtype == np.uint16:
        frame = (frame >> 8).astype(np.uint8)
    colours = np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame[:, :, :3]
    return np.require(colours, np.uint8, ["C", "W"])
