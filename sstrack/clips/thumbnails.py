"""A bounded sample of a video's tiny luma frames, kept for what needs to see pictures: stillness and hashes."""

import numpy as np
from numpy.typing import NDArray

_MOST = 32_768
"""Frames kept at most, 42 MB of 27x48: two hours at five a second; beyond that every other one is let go."""


class TinySample:
    """Feed uint8 [N, h, w] frames in order with `add`; every `stride`-th is kept. Ask with `at`."""

    def __init__(self, stride: int) -> None:
        self.stride = max(1, stride)
        self._kept: list[NDArray[np.uint8]] = []
        self._seen = 0

    def add(self, frames_NHW: NDArray[np.uint8]) -> None:
        """Keep this batch's share."""
        first = -self._seen % self.stride
        self._seen += len(frames_NHW)
        self._kept.extend(frame.copy() for frame in frames_NHW[first :: self.stride])
        while len(self._kept) > _MOST:
            self._kept = self._kept[::2]
            self.stride *= 2

    def at(self, times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.uint8]:
        """uint8 [k, h, w]: for each of k wanted times the kept frame whose own is nearest.

        `times` float64 [N] are those of all frames fed, in order; at least one frame has been.
        """
        own = times[:: self.stride][: len(self._kept)]
        after = np.clip(np.searchsorted(own, wanted), 1, max(1, len(own) - 1))
        before = after - 1
        after = np.minimum(after, len(own) - 1)
        nearest = np.where(np.abs(own[after] - wanted) < np.abs(own[before] - wanted), after, before)
        return np.stack([self._kept[index] for index in nearest]) if len(wanted) else np.zeros((0, 1, 1), np.uint8)
