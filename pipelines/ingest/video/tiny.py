"""The tiny luma frames of a video, on disk: 1.3 kB per frame, read back in pieces, so that memory stays small."""

from collections.abc import Callable, Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.video.task import TINY_H, TINY_W
from sstrack.clips.blends import REACH, blend_spans, blending, show_one_picture
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

    def shown_at(self, times: NDArray[np.floating]) -> Callable[[NDArray[np.float64]], NDArray[np.uint8]]:
        """A function from k wanted times to uint8 [k, 27, 48]: the frames nearest to them. `times` [N] are those of all
        frames, ascending."""

        def at(wanted: NDArray[np.float64]) -> NDArray[np.uint8]:
            after = np.clip(np.searchsorted(times, wanted), 1, max(1, len(times) - 1))
            before, after = after - 1, np.minimum(after, len(times) - 1)
            nearer = np.abs(times[after] - wanted) < np.abs(times[before] - wanted)
            return self.at(np.where(nearer, after, before))

        return at

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

    def blends(self, level: float) -> list[tuple[int, int]]:
        """First and last frame of each dissolve and fade (`sstrack.clips.blends`)."""
        mask = np.zeros(self.count, np.bool_)
        for first in range(0, self.count, _CHUNK):
            start, end = max(0, first - REACH), min(self.count, first + _CHUNK + REACH)
            stop = min(self.count, first + _CHUNK)
            mask[first:stop] = blending(self._read(start, end - start), level)[first - start : stop - start]
        return [span for span in blend_spans(mask) if not self._same_around(*span)]

    def _same_around(self, first: int, last: int) -> bool:
        before, after = max(0, first - REACH // 2), min(self.count - 1, last + REACH // 2)
        return show_one_picture(self._read(before, 1)[0], self._read(after, 1)[0])

    def _read(self, first: int, count: int) -> NDArray[np.uint8]:
        self._file.seek(first * FRAME_BYTES)
        data = self._file.read(count * FRAME_BYTES)
        return np.frombuffer(data, np.uint8).reshape(count, TINY_H, TINY_W)
