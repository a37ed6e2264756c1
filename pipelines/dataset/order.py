"""Which clip the n-th sample of a training shows: a pure function of the data, the seed, and n.

Samples are numbered globally, so the order does not depend on the number of ranks or workers, and the whole state of a
loader is one integer.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def seed_words(*parts: object) -> list[int]:
    """Eight 32-bit words for `numpy.random.default_rng`, hashed from the parts' text."""
    digest = hashlib.sha256("\x00".join(str(part) for part in parts).encode()).digest()
    return np.frombuffer(digest, "<u4").tolist()


class SampleOrder:
    """A new seeded permutation of `n` clips for every epoch."""

    def __init__(self, n: int, data_digest: str, seed: int) -> None:
        if n < 1:
            raise ValueError(f"SampleOrder.n = {n}: needs at least one clip")
        self.n, self.data_digest, self.seed = n, data_digest, seed
        self._epoch = -1
        self._permutation: NDArray[np.int64] = np.empty(0, np.int64)

    def clip(self, sample: int) -> int:
        """Index in 0..n-1 of the clip that global sample number `sample` shows."""
        epoch, position = divmod(sample, self.n)
        if epoch != self._epoch:
            rng = np.random.default_rng(seed_words("order", self.data_digest, self.seed, epoch))
            self._permutation, self._epoch = rng.permutation(self.n), epoch
        return int(self._permutation[position])
