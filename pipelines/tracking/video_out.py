"""An H.264 file that appears under its name when it is complete."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.errors import SSTrackError

_FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}


class VideoOut:
    """Use as a context and `add` frames. Leaving it without an exception puts the file in place, else none is left."""

    def __init__(self, path: Path, first: NDArray[np.uint8], rate: Fraction) -> None:
        """`first` [H, W, 3] gives the size, less one pixel where a side is odd. Raises SSTrackError for a suffix that
        is not .mp4, .mkv or .mov."""
        if path.suffix.lower() not in _FORMATS:
            raise SSTrackError(f"--render {path}: give a file that ends in .mp4, .mkv or .mov")
        self._path, self._rate = path, rate.limit_denominator(1001)
        self._size = max(2, first.shape[1] // 2 * 2), max(2, first.shape[0] // 2 * 2)

    def __enter__(self) -> "VideoOut":
        with ExitStack() as opening:
            draft = opening.enter_context(storage.new_file(self._path))
            with storage.explained(self._path):
                kind = _FORMATS[self._path.suffix.lower()]
                self._container = opening.enter_context(av.open(str(draft), "w", format=kind))
            self._closing = opening.pop_all()
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        return self

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Append one RGB frame; one of another size is brought to the first one's."""
        if (frame.shape[1], frame.shape[0]) != self._size:
            frame = np.asarray(cv2.resize(frame, self._size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        with storage.explained(self._path):
            self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._closing.__exit__(kind, error, trace)
            return
        with self._closing, storage.explained(self._path):
            self._container.mux(self._stream.encode())
            self._container.close()
