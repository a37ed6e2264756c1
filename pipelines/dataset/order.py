"""Which clip the n-th sample of a training shows: a pure function of the data, the seed, and n.

Samples are numbered globally, so the order does not depend on the number of ranks or workers, and the whole state of a
loader is one integer. Every epoch is a new permutation, by construction: the epoch follows from the sample's number.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_MATERIALISED = 1 << 20
"""Clips up to which a permutation is kept as an array; beyond, its entries are computed one by one."""


def seed_words(*parts: object) -> list[int]:
    """Eight 32-bit words for `numpy.random.default_rng`, hashed from the parts' text."""
    digest = hashlib.sha256("\x00".join(str(part) for part in parts).encode()).digest()
    return np.frombuffer(digest, "<u4").tolist()


class Permutation:
    """A keyed permutation of 0..n-1 in constant memory: a Feistel network, walked until it lands inside."""

    _ROUNDS = 6

    def __init__(self, n: int, key: Sequence[int]) -> None:
        self.n = n
        self._half = max(1, ((n - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        self._keys = [(key[i % len(key)] << 32) | key[(i + 3) % len(key)] for i in range(self._ROUNDS)]

    def __getitem__(self, position: int) -> int:
        value = position
        while True:
            left, right = value >> self._half, value & self._mask
            for key in self._keys:
                left, right = right, left ^ (_mix(right ^ key) & self._mask)
            value = (left << self._half) | right
            if value < self.n:
                return value


def _mix(value: int) -> int:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return value ^ (value >> 31)


class SampleOrder:
    """A new seeded permutation of all clips for every epoch, whole or by windows of shards.

    With a window, shards are permuted first and then the clips of `window` neighbours in that order are shuffled
    together: a reader needs only the shards of one window on its disk, and a clip's place is still anywhere.
    """

    def __init__(
        self, n: int, data_digest: str, seed: int, shard_sizes: Sequence[int] | None = None, window: int = 0
    ) -> None:
        """`shard_sizes` are the clips of each shard in table order; `window` 0 shuffles everything together.

        Raises ValueError for no clips, or for sizes that do not sum to `n`.
        """
        if n < 1:
            raise ValueError(f"SampleOrder.n = {n}: needs at least one clip")
        if shard_sizes is not None and sum(shard_sizes) != n:
            raise ValueError(f"SampleOrder.shard_sizes sum to {sum(shard_sizes)}, not to the {n} clips there are")
        self.n, self.data_digest, self.seed = n, data_digest, seed
        self.window = window if shard_sizes is not None and 0 < window < len(shard_sizes) else 0
        self._sizes = np.array(shard_sizes if self.window and shard_sizes else [n], np.int64)
        self._firsts = np.concatenate(([0], np.cumsum(self._sizes)[:-1]))
        self._shards = lru_cache(maxsize=4)(self._shards_of)
        self._within = lru_cache(maxsize=4)(self._permutation_of)

    def clip(self, sample: int) -> int:
        """Index in 0..n-1 of the clip that global sample number `sample` shows."""
        epoch, position = divmod(sample, self.n)
        shards, starts = self._shards(epoch)
        number = int(np.searchsorted(starts, position, side="right")) - 1
        end = int(starts[number + 1]) if number + 1 < len(starts) else self.n
        within = self._within(epoch, number, end - int(starts[number]))
        place = int(within[position - int(starts[number])])
        for shard in self._members(shards, number):
            if place < self._sizes[shard]:
                return int(self._firsts[shard]) + place
            place -= int(self._sizes[shard])
        raise AssertionError("a window's permutation left the window")

    def windows(self, sample: int) -> Iterator[list[int]]:
        """The shards of the window that `sample` lies in, then those of the windows after it, without end."""
        epoch, position = divmod(sample, self.n)
        shards, starts = self._shards(epoch)
        number = int(np.searchsorted(starts, position, side="right")) - 1
        while True:
            while number < len(starts):
                yield self._members(shards, number)
                number += 1
            epoch, number = epoch + 1, 0
            shards, starts = self._shards(epoch)

    def _members(self, shards: NDArray[np.int64], number: int) -> list[int]:
        width = self.window or len(shards)
        return shards[number * width : (number + 1) * width].tolist()

    def _shards_of(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shards in this epoch's order, and the position at which each window starts."""
        rng = np.random.default_rng(seed_words("shards", self.data_digest, self.seed, epoch))
        shards = rng.permutation(len(self._sizes))
        ends = np.concatenate(([0], np.cumsum(self._sizes[shards])))
        return shards, ends[:-1][:: self.window or len(shards)]

    def _permutation_of(self, epoch: int, window: int, size: int) -> NDArray[np.int64] | Permutation:
        words = seed_words("order", self.data_digest, self.seed, epoch, window)
        return np.random.default_rng(words).permutation(size) if size <= _MATERIALISED else Permutation(size, words)


def mixing(order: SampleOrder, epoch: int = 0) -> float:
    """How far an epoch moves clips from their place in the table, over what a uniform shuffle does: 1.0 is as good.

    The mean displacement of a uniform shuffle of n places is (n² - 1) / 3n.
    """
    n = order.n
    moved = sum(abs(order.clip(epoch * n + position) - position) for position in range(n)) / n
    return moved / ((n * n - 1) / (3 * n)) if n > 1 else 1.0
