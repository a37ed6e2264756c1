"""JPEGs onto a fixed canvas, into memory that is used again: fresh pages cost as much as half a decode."""

import threading
import weakref
from math import ceil

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray

from pipelines.dataset.reader import DamagedFrame
from pipelines.dataset.samples import UnusableSample

_MOST_PIXELS = 1 << 26


def decode_onto(jpeg: bytes, canvas: NDArray[np.uint8]) -> tuple[int, int, float]:
    """Decode a JPEG to RGB into the top left of `canvas` uint8 [H, W, 3] and blacken the rest.

    A picture larger than the canvas is decoded at 1/2, 1/4 or 1/8 of its size. Returns width, height and that factor.
    Raises DamagedFrame where it is no whole JPEG, UnusableSample where even an eighth of it does not fit.
    """
    try:
        height, width = (int(side) for side in simplejpeg.decode_jpeg_header(jpeg)[:2])
        if height * width > _MOST_PIXELS:
            raise UnusableSample("picture too large")
        rows, columns = canvas.shape[:2]
        divisor = next((d for d in (1, 2, 4, 8) if ceil(height / d) <= rows and ceil(width / d) <= columns), 0)
        if not divisor:
            raise UnusableSample("picture larger than eight canvases")
        if (height, width) == (rows, columns):
            simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=True, fastupsample=True, buffer=canvas)
            return width, height, 1.0
        picture = simplejpeg.decode_jpeg(
            jpeg, "RGB", fastdct=True, fastupsample=True, min_height=ceil(height / divisor), min_width=1,
            buffer=_scratch(ceil(height / divisor) * ceil(width / divisor) * 3),
        )  # fmt: skip
    except ValueError as error:
        raise DamagedFrame(f"no whole JPEG ({error})") from error
    h, w = picture.shape[:2]
    canvas[:h, :w] = picture
    canvas[h:] = 0
    canvas[:h, w:] = 0
    return w, h, 1.0 / divisor


_local = threading.local()


def _scratch(size: int) -> NDArray[np.uint8]:
    """A buffer of this thread's own of at least `size` bytes."""
    if getattr(_local, "scratch", np.empty(0)).size < size:
        _local.scratch = np.empty(size, np.uint8)
    return _local.scratch


class Canvases:
    """Batches' memory. One comes back by itself when no tensor looks at it any more, and is then given out again."""

    def __init__(self, shape: tuple[int, ...], pinned: bool) -> None:
        self._shape, self._pinned = shape, pinned
        self._free: list[tuple[torch.Tensor, torch.cuda.Event | None]] = []

    def take(self) -> NDArray[np.uint8]:
        """An array of the shape with anything in it. Tensors made from it by `torch.from_numpy` keep it."""
        try:
            memory, copied = self._free.pop()
            if copied is not None:
                copied.synchronize()
        except IndexError:
            memory = torch.empty(self._shape, dtype=torch.uint8, pin_memory=self._pinned)
        lent = memory.numpy().view()
        weakref.finalize(lent, self._give_back, memory).atexit = False
        return lent

    def _give_back(self, memory: torch.Tensor) -> None:
        event = None
        if self._pinned:
            # A copy to the device may still read from it: whoever fills it next waits for that.
            event = torch.cuda.Event()
            event.record()
        self._free.append((memory, event))
