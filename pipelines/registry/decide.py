"""Register a trained model, judge it, and move the alias or keep the champion; each decision with its reasons."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.registry.versions import CHAMPION, champion, promote, refuse, register
from pipelines.training.packages import local_package
from sstrack.gates import GateConfig, judge

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """What became of a challenger."""

    outcome: str
    """One sentence: promoted, already champion, or refused."""
    promoted: bool
    """Whether the challenger is the champion now."""
    new: bool
    """Whether this call moved the alias."""
    reasons: tuple[str, ...]
    """Every check of the gate in one sentence."""
    model_name: str
    version: str
    """The challenger's version."""
    champion: str | None
    """The version that is champion now."""
    run_key: str


def rival_of(uri: str, name: str, package: str) -> str | None:
    """URI of the champion that the package at `package` has to beat; None when there is none, or it is that package."""
    from sstrack.models.package_files import package_digest

    holder = champion(uri, name)
    if holder is None or holder.package_digest == package_digest(local_package(package)):
        return None
    return holder.uri


def register_and_decide(
    uri: str,
    name: str,
    *,
    training: Mapping[str, Any],
    report: Mapping[str, Any],
    untrained: Mapping[str, float],
    static: Mapping[str, float],
    champion: Mapping[str, float] | None,
    gate: GateConfig,
) -> Decision:
    """Register the training's package (once), run the gate, move or keep the alias.

    Args:
        uri: MLflow store.
        name: of the registered model.
        training: a training's record: package, run_id, run_key, manifest.
        report: its evaluation: benchmark, rule, metrics, per_sequence.
        untrained: AO by sequence of the same network before its first step.
        static: AO by sequence of the box that never moves.
        champion: AO by sequence of the champion to beat, None when there is none.
        gate: what has to be reached.
    """
    verdict = judge(report["per_sequence"], untrained=untrained, static=static, champion=champion, config=gate)
    # MLflow's names know no @.
    place = f"{report['benchmark']}/{report['rule']}".replace("@", "-")
    scores = {f"{place}/{metric}": value for metric, value in report["metrics"].items()}
    version = register(
        uri,
        name,
        package=local_package(training["package"]),
        run_id=training["run_id"],
        run_key=training["run_key"],
        manifest=training["manifest"],
        metrics=scores,
        tags={f"sstrack.score.{key}": f"{value:.2f}" for key, value in scores.items()},
    )
    promoted = new = False
    if CHAMPION in version.aliases:
        promoted, outcome = True, f"nothing new: version {version.version} is the champion already"
    elif verdict.passed:
        promoted = new = True
        promote(uri, name, version.version, " ".join(verdict.reasons))
        outcome = f"promoted: version {version.version} is the champion"
    else:
        refuse(uri, name, version.version, " ".join(verdict.reasons))
        outcome = f"refused: version {version.version} does not become the champion"
    log.info("%s (%s)", outcome, " ".join(verdict.reasons))
    holder = _holder(uri, name)
    return Decision(outcome, promoted, new, verdict.reasons, name, version.version, holder, version.run_key)


def _holder(uri: str, name: str) -> str | None:
    holder = champion(uri, name)
    return None if holder is None else holder.version
