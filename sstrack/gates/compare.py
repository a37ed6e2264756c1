"""Is the mean of paired differences above zero? The exact sign-flip test, and an interval to go with it.

Under no difference each sequence might as well have come out the other way round, so all 2^n choices of signs are
equally likely (Fisher 1935, Pitman 1937). Nothing is assumed about the size or the shape of the differences but that;
no resampling noise, and right from the smallest number of sequences on. `bench/gate.py` compares it with bootstraps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PerSequence = Mapping[str, float]
"""AO in percent by sequence name."""

_GRID = 8192
_SUBSETS = 2000


@dataclass(frozen=True)
class Comparison:
    """Challenger minus another over the sequences that both were measured on."""

    against: str
    """What the challenger was compared with."""
    sequences: int
    difference: float
    """Mean difference in percentage points; with several benchmarks the mean of their means."""
    low: float
    high: float
    """Central 90 % interval of the mean difference."""
    p: float
    """Chance of a mean difference as large as this one between equal trackers."""


def compare(pairs: Sequence[tuple[PerSequence, PerSequence]], against: str) -> Comparison:
    """Compare on one benchmark or several; each benchmark weighs the same.

    Args:
        pairs: for each benchmark AO by sequence of the challenger and of the other, on the same sequences.
        against: name of the other.

    Raises ValueError where there are no pairs, or their sequences differ.
    """
    parts: list[Floats] = []
    for challenger, other in pairs:
        if challenger.keys() != other.keys() or not challenger:
            raise ValueError(f"challenger and {against} must be measured on the same sequences")
        delta = np.array([challenger[name] - other[name] for name in sorted(challenger)])
        parts.append(delta / len(delta))
    if not parts:
        raise ValueError(f"nothing to compare challenger and {against} on")
    shares = np.concatenate(parts) / len(parts)
    difference = float(shares.sum())
    low, high = _interval(shares * len(shares))
    return Comparison(against, len(shares), difference, low, high, sign_flip_p(shares))


def sign_flip_p(differences: Floats) -> float:
    """Share of all 2^n sign choices whose sum is at least that of `differences` [n]; one-sided, exact.

    The sums are counted on a grid, to which differences are rounded. As that treats both signs alike, the test of the
    rounded differences is as exact as that of the given ones.
    """
    size = np.abs(differences)
    total = float(size.sum())
    if total == 0.0:
        return 1.0
    steps = np.rint(size / total * max(_GRID, 64 * len(size))).astype(np.int64)
    chance = np.zeros(int(steps.sum()) + 1)
    chance[0], reach = 1.0, 1
    for step in steps.tolist():
        chance[:reach] *= 0.5
        chance[step : step + reach] += chance[:reach].copy() if step else chance[:reach]
        reach += step
    return min(1.0, float(chance[int(steps[differences > 0].sum()) :].sum()))


def _interval(differences: Floats) -> tuple[float, float]:
    """5 % and 95 % quantiles of the means of random subsets: the ends at which the sign-flip test would just reject
    (Hartigan 1969, typical values)."""
    chosen = _subsets(len(differences))
    means = (chosen @ differences) / chosen.sum(axis=1)
    low, high = np.quantile(means, (0.05, 0.95))
    return float(low), float(high)


@lru_cache(maxsize=8)
def _subsets(count: int) -> Floats:
    """[S, n] of 0 and 1; no row is empty."""
    chosen = np.random.default_rng(20).integers(0, 2, size=(_SUBSETS, count)).astype(np.float64)
    chosen[chosen.sum(axis=1) == 0] = 1.0
    return chosen
