"""The order `whole`: all clips are shuffled together, so that any of them may come next."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from pipelines.dataset.draws import Permutation, permutation, seed_words


class Whole:
    """A new permutation of all clips for every epoch. Reads best where every shard is at hand."""

    def __init__(self, n: int, data_digest: str, seed: int) -> None:
        self.n, self._data_digest, self._seed = n, data_digest, seed
        self.stretches: Sequence[range] = (range(n),)
        self.window = 1
        self._of_epoch = lru_cache(maxsize=4)(self._permutation_of)

    def clip(self, sample: int) -> int:
        """Index in 0..n-1 of the clip that global sample number `sample` shows."""
        epoch, position = divmod(sample, self.n)
        return int(self._of_epoch(epoch)[position])

    def windows(self, sample: int) -> Iterator[tuple[range, ...]]:
        """All clips, again and again."""
        return repeat((range(self.n),))

    def _permutation_of(self, epoch: int) -> NDArray[np.int64] | Permutation:
        # The last word is the number of the only window.
        return permutation(self.n, seed_words("order", self._data_digest, self._seed, epoch, 0))
