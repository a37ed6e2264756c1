"""How sure a benchmark's number is: bootstrap over sequences."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SAMPLES = 2000


@dataclass(frozen=True)
class Parts:
    """One number taken apart by sequence: it is the mean over K of sum(top) / sum(bottom) over sequences."""

    top: Floats
    """[S, K]"""
    bottom: Floats
    """[S, K]"""

    def value(self, weights: Floats | None = None) -> Floats:
        """[B] the number with each sequence counted `weights` [B, S] times; once where None."""
        weights = np.ones((1, len(self.top))) if weights is None else weights
        top, bottom = weights @ self.top, weights @ self.bottom
        shares = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
        known = ~np.isnan(shares)
        count = known.sum(axis=1)
        return np.divide(
            np.where(known, shares, 0).sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0
        )


def mean_parts(values: Floats, weights: Floats | None = None) -> Parts:
    """Parts of a (weighted) mean of one value per sequence, [S] each."""
    bottom = np.ones_like(values) if weights is None else weights
    return Parts((values * bottom)[:, None], bottom[:, None])


def mean_parts_of(rows: Mapping[str, Mapping[str, float]]) -> dict[str, Parts]:
    """Parts of numbers that are plain means of the rows, one row per sequence."""
    names = next(iter(rows.values()))
    return {name: mean_parts(np.array([row[name] for row in rows.values()])) for name in names}


def intervals(
    parts: Mapping[str, Parts], *, level: float = 0.95, samples: int = SAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of each number when sequences are drawn with replacement.

    The same draws serve all numbers, and the same seed gives the same intervals. They say how far the number may lie
    from that on other sequences of this kind; they say nothing about other runs of the tracker. A number
    that nothing was scored for has none.
    """
    found: dict[str, tuple[float, float]] = {}
    for name, part in parts.items():
        if not np.isfinite(part.value()).all():
            continue
        count = len(part.top)
        draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=samples)
        low, high = np.nanquantile(part.value(draws.astype(np.float64)), ((1 - level) / 2, (1 + level) / 2))
        found[name] = (float(low), float(high))
    return found


def band(
    rows: Floats, weights: Floats | None = None, *, level: float = 0.95, samples: int = 500, seed: int = 0
) -> tuple[Floats, Floats]:
    """[N] lower and [N] upper ends of the mean of curves [S, N], weighted by `weights` [S], point by point, as
    `intervals` draws them."""
    count = len(rows)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=samples).astype(np.float64)
    draws *= 1 if weights is None else weights
    means = draws @ rows / np.maximum(draws.sum(axis=1, keepdims=True), 1e-12)
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2), axis=0)
    return low, high
