"""Which of several datasets the n-th sample of a training comes from: weights kept exactly, as a pure function of n."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipelines.dataset.draws import seed_words

BLOCK = 1024
"""Samples over which the weights hold exactly (to 1/1024); their order within a block is drawn anew for each."""


class Mixture:
    """Blocks of samples in which each dataset has its quota, shuffled by (seed, block)."""

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        """Raises ValueError for no weights, or one that is not above 0 or too small to ever be drawn."""
        if not weights or not all(0 < weight < float("inf") for weight in weights):
            raise ValueError(f"weights {list(weights)}: each dataset needs a finite weight above 0")
        shares = np.array(weights, float) / sum(weights) * BLOCK
        quotas = np.floor(shares).astype(np.int64)
        # Largest remainders get what rounding down left over; a stable sort makes ties fall to the first.
        for k in np.argsort(quotas - shares, kind="stable")[: BLOCK - quotas.sum()]:
            quotas[k] += 1
        if (quotas == 0).any():
            raise ValueError(f"weights {list(weights)}: one is below 1/{BLOCK} of their sum, so it would give nothing")
        self.quotas: list[int] = quotas.tolist()
        self.seed = seed
        self._block = lru_cache(maxsize=4)(self._block_of)

    def place(self, sample: int) -> tuple[int, int]:
        """Dataset number, and the number of this sample among all samples of that dataset."""
        if len(self.quotas) == 1:
            return 0, sample
        block, position = divmod(sample, BLOCK)
        datasets, ranks = self._block(block)
        dataset = int(datasets[position])
        return dataset, block * self.quotas[dataset] + int(ranks[position])

    def _block_of(self, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rng = np.random.default_rng(seed_words("mixture", self.seed, block))
        datasets = rng.permutation(np.repeat(np.arange(len(self.quotas)), self.quotas))
        ranks = np.zeros(BLOCK, np.int64)
        for dataset, quota in enumerate(self.quotas):
            ranks[datasets == dataset] = np.arange(quota)
        return datasets, ranks
