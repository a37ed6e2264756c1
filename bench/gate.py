"""How often the gate promotes a tracker that is no better, and how often one that is: tests compared, a year,
power, and what rare losses do.

    python bench/gate.py [TRIALS]        default 2000 in each cell; fixed seeds, so the table is the same everywhere

Three tests on the same simulated pairs: the plain percentile bootstrap at a share of 0.9 (the rule before), the
studentised bootstrap, and exact sign flips, which `sstrack.gates` uses. Then the gate itself.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sstrack.gates import GateConfig, level_of_trial
from sstrack.gates.compare import sign_flip_p
from sstrack.gates.simulated import EQUAL, noise, rare_losses

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


def percent(promoted: object) -> str:
    return f"{100 * float(np.asarray(promoted).mean()):.1f} %"


def compare_tests(trials: int) -> None:
    config = GateConfig()
    level = level_of_trial(config.false_promotions, 1)
    heads = [f"{name}, {100 * at:.1f} %" for at in (0.05, level) for name in ("plain", "studentised", "sign flips")]
    worse = {f"{name}, 3 worse": lambda *a, draw=draw: draw(*a) - 3.0 for name, draw in EQUAL.items()}
    print(f"Promotions of trackers that are equal, or 3 points worse; {trials} trials a cell\n")
    print("| pairs | sequences | before: plain, 10 % | " + " | ".join(heads) + " | the gate |")
    print("|---|---|" + "---|" * (len(heads) + 2))
    for name, draw in {**EQUAL, **worse}.items():
        for count in COUNTS:
            differences = draw(np.random.default_rng(5), trials, count)
            found = [test(differences) for test in (plain_bootstrap, studentised_bootstrap, sign_flips)]
            # The word of `judge` on a challenger that passes all floors by far; tests hold the two together.
            gained = (differences.mean(axis=1) >= config.min_gain) & (count >= config.min_sequences)
            shares = [found[0] <= 0.1, *(p <= at for at in (0.05, level) for p in found), gained & (found[2] <= level)]
            print(f"| {name} | {count} | {' | '.join(map(percent, shares))} |", flush=True)


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


def skew_corrected(differences: Floats) -> Floats:
    """[T] p of Hall's t (1992), monotone in the mean and corrected for skewness."""
    count = differences.shape[1]
    mean = differences.mean(axis=1, keepdims=True)
    skew = ((differences - mean) ** 3).mean(axis=1) / differences.std(axis=1) ** 3
    ratio = mean[:, 0] / differences.std(axis=1, ddof=1)
    t = np.sqrt(count) * (ratio + skew * ratio**2 / 3 + skew**2 * ratio**3 / 27 + skew / (6 * count))
    return np.asarray(stats.t.sf(t, count - 1))


def uneven(trials: int) -> None:
    """What was tried against trackers that lose rarely and much, and what it would cost."""
    level = level_of_trial(0.05, 1)
    print(f"\nEqual on average, but one loses 40 points on a share of the targets; {trials} trials a cell\n")
    print("| pairs | sequences | the gate | and a t corrected for skewness | and with two targets more lost |")
    print("|---|---|---|---|---|")
    pairs = {f"{share:.0%} of targets lost": rare_losses(share) for share in (0.05, 0.1, 0.2)}
    pairs |= {
        f"better by {gain:g}, spread {sd:g}": lambda *a, sd=sd, gain=gain: noise(sd)(*a) + gain
        for sd, gain in ((5.0, 5.0), (10.0, 8.0))
    }
    for name, draw in pairs.items():
        for count in (12, 28, 60, 100, 280):
            differences = draw(np.random.default_rng(5), trials, count)
            gate = p_where_gained(differences) <= level
            skew = gate & (skew_corrected(differences) <= level)
            two = gate & (differences.mean(axis=1) > 2 * 40.0 / count)
            print(f"| {name} | {count} | {percent(gate)} | {percent(skew)} | {percent(two)} |", flush=True)


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    compare_tests(trials)
    year(max(100, trials // 5))
    power(max(100, trials // 5))
    uneven(trials)


if __name__ == "__main__":
    main()
