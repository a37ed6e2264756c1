"""The gate: floors on every benchmark, a sure win over the controls and the champion, no large loss anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sstrack.bounds import nearest
from sstrack.gates.compare import Comparison, PerSequence, compare
from sstrack.gates.config import GateConfig
from sstrack.gates.spending import level_of_trial
from sstrack.gates.verdict import Check, Verdict, in_order

UNTRAINED = "its start"
STATIC = "the box that never moves"
CHAMPION = "the champion"
RARE = 0.1
"""Share of targets: what strikes fewer is rare, and few sequences may hold none of it."""


@dataclass(frozen=True)
class Measured:
    """AO in percent by sequence on one benchmark, of all that are compared; the same sequences for each."""

    challenger: PerSequence
    untrained: PerSequence
    """The same network before its first step: untrained, or the model that the training started from."""
    static: PerSequence
    """The box that never moves."""
    champion: PerSequence | None = None
    """None while there is no champion."""


def judge(
    measured: Mapping[str, Measured],
    *,
    trial: int = 1,
    fps: float | None = None,
    template_lead: float | None = None,
    config: GateConfig | None = None,
) -> Verdict:
    """Check the floors, then the champion if there is one.

    Several benchmarks: the floors hold on each; the wins are tested on `config.primary`, or on all of them pooled, each
    weighing the same; and on none may the challenger be more than `config.max_loss` worse than the champion.

    Args:
        measured: by name of the benchmark.
        trial: which challenger of this champion it is, from 1; each further one has to be surer, see `level_of_trial`.
        fps: frames per second of the challenger, None where nobody measured it.
        template_lead: how far the right template leads blank and foreign ones, None where nobody measured it.
        config: the defaults when None.

    Raises:
        ValueError: no benchmark, or an unknown primary one; challenger, untrained start and static box do not cover the
            same sequences, or hold a value that is not finite; a champion on some benchmarks only.
    """
    config = config or GateConfig()
    _require_whole(measured, config.primary)
    level = level_of_trial(config.false_promotions, trial)
    deciding = {config.primary: measured[config.primary]} if config.primary else dict(measured)
    checks: list[Check] = []
    for name, scores in measured.items():
        checks += _floors(name if len(measured) > 1 else "", scores, config)
    checks += [_template_lead(template_lead, config), *_speed(fps, config)]
    rivals = {UNTRAINED: [(each.challenger, each.untrained) for each in deciding.values()]}
    rivals[STATIC] = [(each.challenger, each.static) for each in deciding.values()]
    crowned = {name: each.champion for name, each in measured.items() if each.champion is not None}
    unlike = _unlike(measured)
    if unlike is not None:
        checks.append(unlike)
    elif crowned:
        rivals[CHAMPION] = [(each.challenger, crowned[name]) for name, each in deciding.items()]
        checks += _losses(measured, config)
    count = sum(len(each.challenger) for each in deciding.values())
    enough = count >= config.min_sequences
    checks.append(
        Check(
            "sequences", enough, f"measured on {count} sequences, and fewer than {config.min_sequences} decide nothing"
        )
    )
    comparisons = [compare(pairs, against) for against, pairs in rivals.items()] if enough else []
    for each in comparisons:
        checks += _win(each, level, trial, config)
    return Verdict(in_order(tuple(checks)), tuple(comparisons), trial, level)


def _require_whole(measured: Mapping[str, Measured], primary: str) -> None:
    if not measured:
        raise ValueError("the challenger was measured on no benchmark")
    if primary and primary not in measured:
        raise ValueError(f"gate: primary benchmark {primary!r} was not measured; {nearest(primary, measured)}")
    if len({each.champion is None for each in measured.values()}) > 1:
        raise ValueError("the champion was measured on some of the benchmarks only; measure it on all of them")
    for each in measured.values():
        if not (set(each.challenger) == set(each.untrained) == set(each.static)) or not each.challenger:
            raise ValueError("challenger, untrained start and static box must be measured on the same sequences")
        for scores in (each.challenger, each.untrained, each.static, each.champion or {}):
            bad = sorted(name for name, value in scores.items() if not np.isfinite(value))
            if bad:
                raise ValueError(
                    f"no finite AO for {', '.join(bad)}: these sequences have no truth after their first frame"
                )


def _unlike(measured: Mapping[str, Measured]) -> Check | None:
    """A failed check where the champion was measured on other sequences than the challenger."""
    for name, each in measured.items():
        if each.champion is not None and set(each.champion) != set(each.challenger):
            shared = len(set(each.champion) & set(each.challenger))
            return Check(
                "sequences",
                False,
                f"on {name} challenger and champion share {shared} of {len(set(each.champion) | set(each.challenger))} "
                "sequences; measure both on the same ones",
            )
    return None


def _floors(name: str, scores: Measured, config: GateConfig) -> list[Check]:
    ao, untrained, static = (_mean(each) for each in (scores.challenger, scores.untrained, scores.static))
    where = f" on {name}" if name else ""
    return [
        Check("floor", ao >= config.min_ao, f"AO {ao:.1f}{where} against a floor of {config.min_ao:.1f}"),
        Check(
            "untrained",
            ao > untrained + config.margin_untrained,
            f"AO {ao:.1f}{where} against {untrained:.1f} of {UNTRAINED} (margin {config.margin_untrained:g})",
        ),
        Check(
            "static",
            ao > static + config.margin_static,
            f"AO {ao:.1f}{where} against {static:.1f} of {STATIC} (margin {config.margin_static:g})",
        ),
    ]


def _template_lead(lead: float | None, config: GateConfig) -> Check:
    floor = f"its floor of {config.min_template_lead:g}"
    if lead is None:
        return Check("template_lead", None, f"nobody measured the template's lead, so {floor} was not applied")
    return Check("template_lead", lead >= config.min_template_lead, f"template lead {lead:.2f} against {floor}")


def _speed(fps: float | None, config: GateConfig) -> list[Check]:
    if config.min_fps == 0:
        return []
    if fps is None:
        return [Check("speed", False, f"nobody measured the speed, and {config.min_fps:g} frames/s are wanted")]
    return [Check("speed", fps >= config.min_fps, f"{fps:.1f} frames/s against a floor of {config.min_fps:g}")]


def _losses(measured: Mapping[str, Measured], config: GateConfig) -> list[Check]:
    """On several benchmarks, one check each; on a single one a loss is no win anyway."""
    checks: list[Check] = []
    for name, each in measured.items():
        if len(measured) > 1 and each.champion is not None:
            change = _mean(each.challenger) - _mean(each.champion)
            sentence = f"{change:+.1f} points against the champion on {name}, at most {config.max_loss:g} may be lost"
            checks.append(Check("loss", change >= -config.max_loss, sentence))
    return checks


def _win(comparison: Comparison, level: float, trial: int, config: GateConfig) -> list[Check]:
    """Better by enough, and surely so."""
    checks: list[Check] = []
    where = f"{comparison.difference:+.1f} points against {comparison.against} over {comparison.sequences} sequences"
    if comparison.against == CHAMPION:
        gain = f"{where}, at least {config.min_gain:+g} wanted"
        checks.append(Check("gain", comparison.difference >= config.min_gain, gain))
    sure = (
        f"{where} (90 % interval {comparison.low:+.1f} to {comparison.high:+.1f}): equal trackers differ as much with "
        f"a chance of {comparison.p:.2g}, at most {level:.2g} wanted of challenger {trial}"
    )
    unseen = (1 - RARE) ** comparison.sequences
    if comparison.against == CHAMPION and unseen > config.false_promotions:
        blind = (
            f"a loss that strikes one target in {1 / RARE:.0f} is in none of {comparison.sequences} sequences with a "
            f"chance of {unseen:.2g}"
        )
        checks.append(Check("rare_losses", None, blind))
    smallest = 0.5**comparison.sequences
    if smallest > level:
        sure += f"; on so few sequences nothing gets below {smallest:.2g}, so measure on more"
    return [*checks, Check("sure", comparison.p <= level, sure)]


def _mean(scores: PerSequence) -> float:
    return float(np.mean(list(scores.values())))
