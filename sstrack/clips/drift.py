"""Whether clips look like other clips: the two-sample Kolmogorov-Smirnov distance of each of their scores."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST = 20
"""Fewer values than this on either side say nothing."""


@dataclass(frozen=True)
class Drift:
    """How far one score's distribution has moved."""

    score: str
    distance: float
    """Largest difference between the two empirical distribution functions, 0 to 1."""
    threshold: float
    """What equal distributions exceed once in a thousand times at these numbers of values (Smirnov's limit law)."""
    before: float
    """Median of the old values."""
    after: float
    """Median of the new ones."""

    @property
    def moved(self) -> bool:
        """Whether that is more than chance."""
        return self.distance > self.threshold


def drift(old: Mapping[str, ArrayLike], new: Mapping[str, ArrayLike]) -> list[Drift]:
    """Drift of every score that both sides have `LEAST` finite values of, farthest above its threshold first."""
    found: list[Drift] = []
    for name in sorted(old.keys() & new.keys()):
        first, second = _finite(old[name]), _finite(new[name])
        if min(len(first), len(second)) < LEAST:
            continue
        found.append(
            Drift(
                name,
                _distance(first, second),
                _threshold(len(first), len(second)),
                float(np.median(first)),
                float(np.median(second)),
            )
        )
    return sorted(found, key=lambda each: each.threshold - each.distance)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    return np.sort(array[np.isfinite(array)])


def _distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    at = np.concatenate((first, second))
    shares = (np.searchsorted(each, at, side="right") / len(each) for each in (first, second))
    return float(np.abs(np.subtract(*shares)).max())


def _threshold(first: int, second: int, alpha: float = 0.001) -> float:
    return float(np.sqrt(-0.5 * np.log(alpha / 2) * (first + second) / (first * second)))
