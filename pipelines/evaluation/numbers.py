"""How scores are written for people, the same on the terminal and in reports."""

import math

SHARES = ("EAO", "A", "R")
"""VOT's numbers, published 0 to 1 with three decimals; the others are percent with one."""
HIGHER_IS_WORSE = ("R", "failures")


def shown(metric: str, value: float) -> str:
    """`value` of `metric` as the field prints it; a dash for what is not known."""
    if not math.isfinite(value):
        return "–"
    if metric in SHARES:
        return f"{value:.3f}"
    if metric == "failures":
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.1f}"


def interval(metric: str, low: float, high: float) -> str:
    """`low` to `high`, as `shown`."""
    return f"{shown(metric, low)} – {shown(metric, high)}"
