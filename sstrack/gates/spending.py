"""How sure a win has to be when many challengers try for the place of the same champion."""

from math import sqrt


def level_of_trial(total: float, trial: int) -> float:
    """The level of the `trial`-th test (from 1) against one champion: total · (1/√k - 1/√(k+1)).

    Alpha spending: after k tests total · (1 - 1/√(k+1)) is spent, so that all tests together, however many there will
    be, promote something that is no better with a chance of `total` at most (union bound). A new champion starts anew.

    Example: with a total of 0.05 the first test has 0.0146, the tenth 0.00074, the 52nd 0.000066.
    """
    if trial < 1:
        raise ValueError(f"trial {trial}: trials are counted from 1")
    return total * (1 / sqrt(trial) - 1 / sqrt(trial + 1))
