"""May a trained model become the champion? Numbers in, a verdict with its reasons in sentences out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

PerSequence = Mapping[str, float]
"""AO in percent by sequence name."""


@dataclass(frozen=True)
class GateConfig:
    """What a challenger has to reach. AO in percent, margins in percentage points."""

    min_ao: float = 10.0
    """Floor under the mean AO."""
    margin_untrained: float = 1.0
    """How far above its own untrained start."""
    margin_static: float = 1.0
    """How far above the box that never moves."""
    confidence: float = 0.9
    """Share of bootstrap resamples in which the challenger must beat the champion."""
    resamples: int = 10_000
    seed: int = 20

    def __post_init__(self) -> None:
        for name, low, high in (
            ("min_ao", 0.0, 100.0),
            ("margin_untrained", 0.0, 100.0),
            ("margin_static", 0.0, 100.0),
            ("confidence", 0.5, 1.0),
            ("resamples", 100, 1_000_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"gate: {name}={value} is outside {low}..{high}")


@dataclass(frozen=True)
class Comparison:
    """Paired bootstrap of challenger minus champion over the sequences both were measured on."""

    sequences: int
    difference: float
    """Mean difference in percentage points."""
    low: float
    high: float
    """Central 90 % interval of the resampled mean difference."""
    share_better: float
    """Share of resamples in which the challenger is better."""


@dataclass(frozen=True)
class Verdict:
    """Passed or not, every check in one sentence, failed checks first."""

    passed: bool
    reasons: tuple[str, ...]
    comparison: Comparison | None


def paired_bootstrap(challenger: PerSequence, champion: PerSequence, config: GateConfig) -> Comparison:
    """Resample the common sequences with replacement. ValueError when there is none in common."""
    common = sorted(set(challenger) & set(champion))
    if not common:
        raise ValueError("challenger and champion share no sequence, so they cannot be compared")
    delta = np.array([challenger[name] - champion[name] for name in common])
    draws = np.random.default_rng(config.seed).integers(0, len(common), size=(config.resamples, len(common)))
    means = delta[draws].mean(axis=1)
    low, high = np.quantile(means, (0.05, 0.95))
    return Comparison(len(common), float(delta.mean()), float(low), float(high), float((means > 0).mean()))


def judge(
    challenger: PerSequence,
    *,
    untrained: PerSequence,
    static: PerSequence,
    champion: PerSequence | None,
    config: GateConfig | None = None,
) -> Verdict:
    """Check the floors, then the champion if there is one.

    Args:
        challenger: AO in percent of the trained model by sequence.
        untrained: the same network before its first step, on the same sequences.
        static: the box that never moves, on the same sequences.
        champion: the current champion, or None when there is none yet.
        config: floors and confidence; the defaults when None.

    Raises:
        ValueError: the three measurements do not cover the same sequences, or hold a value that is not finite.
    """
    config = config or GateConfig()
    if not (set(challenger) == set(untrained) == set(static)) or not challenger:
        raise ValueError("challenger, untrained start and static box must be measured on the same sequences")
    ao, ao_untrained, ao_static = (_mean(scores) for scores in (challenger, untrained, static))
    checks = [
        (ao >= config.min_ao, f"AO {ao:.1f} against a floor of {config.min_ao:.1f}"),
        (
            ao > ao_untrained + config.margin_untrained,
            f"AO {ao:.1f} against {ao_untrained:.1f} of its untrained start (margin {config.margin_untrained:g})",
        ),
        (
            ao > ao_static + config.margin_static,
            f"AO {ao:.1f} against {ao_static:.1f} of the box that never moves (margin {config.margin_static:g})",
        ),
    ]
    comparison = None
    if champion is not None:
        comparison = paired_bootstrap(challenger, champion, config)
        checks.append(
            (
                comparison.share_better >= config.confidence,
                f"{comparison.difference:+.1f} points against the champion over {comparison.sequences} sequences "
                f"(90 % interval {comparison.low:+.1f} to {comparison.high:+.1f}), better in "
                f"{100 * comparison.share_better:.0f} % of resamples, {100 * config.confidence:.0f} % wanted",
            )
        )
    ordered = sorted(checks, key=lambda check: check[0])
    reasons = tuple(f"{'passed' if ok else 'failed'}: {sentence}." for ok, sentence in ordered)
    return Verdict(all(ok for ok, _ in checks), reasons, comparison)


def _mean(scores: PerSequence) -> float:
    values = np.array(list(scores.values()), dtype=np.float64)
    if not np.isfinite(values).all():
        bad = sorted(name for name, value in scores.items() if not np.isfinite(value))
        raise ValueError(f"no finite AO for {', '.join(bad)}: these sequences have no truth after their first frame")
    return float(values.mean())
