"""The tiny luma frames of a video, on disk: 1.3 kB per frame, read back in pieces, so that memory stays small."""

from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.task import TINY_H, TINY_W
from sstrack.clips.luma import LumaTrack

FRAME_BYTES = TINY_H * TINY_W
_CHUNK = 512


class TinyFrames:
    """`count` tiny frames in a file open for reading."""

    def __init__(self, file: IO[bytes], count: int) -> None:
        self._file, self.count = file, count

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames by number: uint8 [k, 27, 48]."""
        return np.concatenate([self._read(int(index), 1) for index in indices] or [self._read(0, 0)])

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """All frames in order, a few hundred at a time: uint8 [n, 27, 48]."""
        for first in range(0, self.count, _CHUNK):
            yield self._read(first, min(_CHUNK, self.count - first))

    def measures(self, lag: int) -> NDArray[np.float32]:
        """`LumaTrack.measures` of all frames."""
        track = LumaTrack(lag)
        for chunk in self.chunks():
            track.add(chunk)
        return track.measures()

    def _read(self, first: int, count: int) -> NDArray[np.uint8]:
        self._file.seek(first * FRAME_BYTES)
        data = self._file.read(count * FRAME_BYTES)
        return np.frombuffer(data, np.uint8).reshape(count, TINY_H, TINY_W)
