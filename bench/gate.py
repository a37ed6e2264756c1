"""How often the gate promotes a tracker that is no better, and how often one that is: tests compared, a year, power.

    python bench/gate.py [TRIALS]        default 2000 in each cell; fixed seeds, so the table is the same everywhere

Three tests on the same simulated pairs: the plain percentile bootstrap at a share of 0.9 (the rule before), the
studentised bootstrap, and exact sign flips, which `sstrack.gates` uses. Then the gate itself.
"""

import os
import sys
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from sstrack.gates import GateConfig, Measured, judge, level_of_trial
from sstrack.gates.compare import sign_flip_p
from sstrack.gates.simulated import EQUAL, noise, skewed

Floats = NDArray[np.float64]

COUNTS = (3, 5, 8, 12, 28, 100)
RESAMPLES = 2000
WEEKS = 52


def plain_bootstrap(differences: Floats) -> Floats:
    """[T] share of resampled means that are not above 0, for differences [T, n]."""
    means = differences @ _weights(differences.shape[1]).T
    return (means <= 0).mean(axis=1)


def studentised_bootstrap(differences: Floats) -> Floats:
    """[T] share of resampled t values around the sample's mean that reach the sample's own."""
    count = differences.shape[1]
    weights = _weights(count)
    mean, spread = differences.mean(axis=1, keepdims=True), differences.std(axis=1, ddof=1, keepdims=True)
    means = differences @ weights.T
    spreads = np.sqrt(np.maximum((differences**2) @ weights.T - means**2, 0) * count / (count - 1))
    away = means - mean
    t = np.where(spreads > 1e-9, away / np.maximum(spreads, 1e-9), np.copysign(1e9, away))
    return ((t >= mean / spread).sum(axis=1) + 1) / (RESAMPLES + 1)


def sign_flips(differences: Floats) -> Floats:
    """[T] exact p of each row."""
    return np.array([sign_flip_p(row) for row in differences])


def _weights(count: int) -> Floats:
    draws = np.random.default_rng(1).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return draws.astype(np.float64) / count


def gate_promotes(differences: Floats) -> bool:
    """The whole gate's word on one challenger that passes all floors by far."""
    champion = {str(index): 60.0 for index in range(len(differences))}
    challenger = {str(index): 60.0 + float(value) for index, value in enumerate(differences)}
    low = dict.fromkeys(champion, -500.0)
    return judge({"b": Measured(challenger, low, low, champion)}).passed


def percent(promoted: object) -> str:
    return f"{100 * float(np.asarray(promoted).mean()):.1f} %"


def compare_tests(trials: int) -> None:
    level = level_of_trial(0.05, 1)
    tests: dict[str, Callable[[Floats], NDArray[np.bool_]]] = {
        "before: plain 0.9": lambda d: plain_bootstrap(d) <= 0.1,
        "plain, 5 %": lambda d: plain_bootstrap(d) <= 0.05,
        "studentised, 5 %": lambda d: studentised_bootstrap(d) <= 0.05,
        "sign flips, 5 %": lambda d: sign_flips(d) <= 0.05,
        f"plain, {100 * level:.1f} %": lambda d: plain_bootstrap(d) <= level,
        f"studentised, {100 * level:.1f} %": lambda d: studentised_bootstrap(d) <= level,
        f"sign flips, {100 * level:.1f} %": lambda d: sign_flips(d) <= level,
        "the gate": lambda d: np.array([gate_promotes(row) for row in d]),
    }
    worse = {f"{name}, 3 worse": lambda *a, draw=draw: draw(*a) - 3.0 for name, draw in EQUAL.items()}
    print(f"Promotions of trackers that are equal, or 3 points worse; {trials} trials a cell\n")
    print("| pairs | sequences | " + " | ".join(tests) + " |")
    print("|---|---|" + "---|" * len(tests))
    for name, draw in {**EQUAL, **worse, "equal on average, skewed": skewed}.items():
        for count in COUNTS:
            differences = draw(np.random.default_rng(5), trials, count)
            cells = " | ".join(percent(test(differences)) for test in tests.values())
            print(f"| {name} | {count} | {cells} |", flush=True)


def p_where_gained(differences: Floats) -> Floats:
    """[T] the gate's p; 1 where the gain is under what it wants, which refuses whatever the p."""
    found = np.ones(len(differences))
    gained = differences.mean(axis=1) >= GateConfig().min_gain
    found[gained] = sign_flips(differences[gained])
    return found


def year(years: int) -> None:
    print(f"\nA year of {WEEKS} equal challengers of one champion, {years} years: years with a promotion\n")
    print("| pairs | sequences | before | promotions a year, before | the gate |\n|---|---|---|---|---|")
    for name, draw in EQUAL.items():
        for count in (12, 28, 100):
            weeks = [draw(np.random.default_rng(1000 + week), years, count) for week in range(WEEKS)]
            before = np.stack([plain_bootstrap(week) <= 0.1 for week in weeks])
            now = np.stack(
                [p_where_gained(week) <= level_of_trial(0.05, number) for number, week in enumerate(weeks, start=1)]
            )
            print(
                f"| {name} | {count} | {percent(before.any(axis=0))} | {before.sum(axis=0).mean():.1f} | "
                f"{percent(now.any(axis=0))} |",
                flush=True,
            )


def power(trials: int) -> None:
    gains, tries = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0), (1, 10, WEEKS)
    print(f"\nPower: promotions of a tracker that is better by so many points; {trials} trials a cell\n")
    print("| spread | sequences | challenger | " + " | ".join(f"+{gain:g}" for gain in gains) + " |")
    print("|---|---|---|" + "---|" * len(gains))
    for spread in (5.0, 10.0, 20.0):
        for count in (12, 28, 100, 280):
            base = noise(spread)(np.random.default_rng(7), trials, count)
            found = [p_where_gained(base + gain) for gain in gains]
            for trial in tries:
                cells = " | ".join(percent(p <= level_of_trial(0.05, trial)) for p in found)
                print(f"| {spread:g} | {count} | {trial} | {cells} |", flush=True)


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    compare_tests(trials)
    year(max(100, trials // 5))
    power(max(100, trials // 5))


if __name__ == "__main__":
    main()
