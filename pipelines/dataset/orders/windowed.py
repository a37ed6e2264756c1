"""The order `windowed`: some stretches of the table are shuffled together at a time, for sets larger than the disk."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipelines.dataset.draws import Permutation, permutation, seed_words

STRETCH = 64
"""Clips that follow each other in the table and stay together. They lie in few shards, as shards are filled in the
table's order; a longer stretch has fewer shards begin or end in it, which are read for two windows."""
WINDOW = 16
"""Stretches whose clips are shuffled together."""


class Windowed:
    """A new permutation for every epoch: stretches are permuted first, then the clips of each `window` of them.

    A reader needs only the shards of one window at a time, and a clip's place in an epoch is still anywhere. Nothing
    here knows how clips are spread over shards, so merging shards leaves the order as it is.
    """

    def __init__(self, n: int, data_digest: str, seed: int, stretch: int = STRETCH, window: int = WINDOW) -> None:
        self.n, self._data_digest, self._seed, self.window = n, data_digest, seed, window
        self.stretches: Sequence[range] = [range(first, min(first + stretch, n)) for first in range(0, n, stretch)]
        self._sizes = np.array([len(each) for each in self.stretches])
        self._of_epoch = lru_cache(maxsize=4)(self._windows_of)
        self._within = lru_cache(maxsize=4)(self._permutation_of)

    def clip(self, sample: int) -> int:
        """Index in 0..n-1 of the clip that global sample number `sample` shows."""
        epoch, number, place = self._find(sample)
        members = self._members(epoch, number)
        place = int(self._within(epoch, number, sum(map(len, members)))[place])
        for stretch in members:
            if place < len(stretch):
                return stretch[place]
            place -= len(stretch)
        raise AssertionError("a window's permutation left the window")

    def windows(self, sample: int) -> Iterator[tuple[range, ...]]:
        """The stretches of the window that `sample` lies in, then those of the windows after it, without end."""
        epoch, number, _ = self._find(sample)
        while True:
            for each in range(number, len(self._of_epoch(epoch)[1])):
                yield self._members(epoch, each)
            epoch, number = epoch + 1, 0

    def _find(self, sample: int) -> tuple[int, int, int]:
        """Epoch, window and place in the window of a sample."""
        epoch, position = divmod(sample, self.n)
        starts = self._of_epoch(epoch)[1]
        number = int(np.searchsorted(starts, position, side="right")) - 1
        return epoch, number, position - int(starts[number])

    def _members(self, epoch: int, number: int) -> tuple[range, ...]:
        shuffled = self._of_epoch(epoch)[0][number * self.window : (number + 1) * self.window]
        return tuple(self.stretches[stretch] for stretch in shuffled.tolist())

    def _windows_of(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Stretches in this epoch's order, and the position at which each window starts."""
        rng = np.random.default_rng(seed_words("stretches", self._data_digest, self._seed, epoch))
        shuffled = rng.permutation(len(self.stretches))
        starts = np.concatenate(([0], np.cumsum(self._sizes[shuffled])[:-1]))
        return shuffled, starts[:: self.window]

    def _permutation_of(self, epoch: int, window: int, size: int) -> NDArray[np.int64] | Permutation:
        return permutation(size, seed_words("order", self._data_digest, self._seed, epoch, window))
