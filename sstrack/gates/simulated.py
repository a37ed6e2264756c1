"""Pairs of trackers whose true difference is known, to find out how often a gate is wrong. Used by tests and bench."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Draw: TypeAlias = Callable[[np.random.Generator, int, int], Floats]
"""(generator, trials, sequences) -> differences [trials, sequences] of two equal trackers, in points of AO."""

_LOST = 0.15
_HELD_AO, _LOST_AO = 65.0, 10.0


def noise(sd: float) -> Draw:
    """Differences spread by `sd` points, normally."""
    return lambda rng, trials, count: rng.normal(0.0, sd, (trials, count))


def lost_targets(rng: np.random.Generator, trials: int, count: int) -> Floats:
    """Each tracker loses 15 % of the targets, not the same ones; where both hold or both lose, 3 points of noise."""
    lost = rng.random((2, trials, count)) < _LOST
    ao = np.where(lost, _LOST_AO, _HELD_AO)
    return ao[0] - ao[1] + rng.normal(0.0, 3.0, (trials, count))


def rare_losses(share: float) -> Draw:
    """One tracker loses 40 points on a `share` of the targets and gains them back evenly on the others: equal on the
    whole but not alike, which no test can see as long as no such target is among the sequences."""

    def draw(rng: np.random.Generator, trials: int, count: int) -> Floats:
        lost = rng.random((trials, count)) < share
        return np.where(lost, -40.0, 40.0 * share / (1 - share)) + rng.normal(0.0, 5.0, (trials, count))

    return draw


EQUAL: dict[str, Draw] = {
    "noise sd 5": noise(5.0),
    "noise sd 10": noise(10.0),
    "noise sd 20": noise(20.0),
    "lost targets": lost_targets,
}
"""Trackers that are alike, by name."""
