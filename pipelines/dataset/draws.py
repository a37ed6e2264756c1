"""Random draws as pure functions of what they are for: no generator is carried along, so there is no state to keep."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MATERIALISED = 1 << 20
"""Entries up to which a permutation is kept as an array; beyond, they are computed one by one."""


def seed_words(*parts: object) -> list[int]:
    """Eight 32-bit words for `numpy.random.default_rng`, hashed from the parts' text."""
    digest = hashlib.sha256("\x00".join(str(part) for part in parts).encode()).digest()
    return np.frombuffer(digest, "<u4").tolist()


def permutation(n: int, words: Sequence[int]) -> "NDArray[np.int64] | Permutation":
    """The permutation of 0..n-1 that these words name, by index."""
    return np.random.default_rng(words).permutation(n) if n <= MATERIALISED else Permutation(n, words)


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
