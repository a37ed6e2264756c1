"""Register a trained model, judge it, and move the alias or keep the champion; each decision with its reasons."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.registry.versions import CHAMPION, JUDGED_AGAINST, champion, promote, refuse, register, versions
from pipelines.training.packages import local_package
from sstrack.gates import GateConfig, Measured, judge

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


@dataclass(frozen=True)
class Evaluated:
    """Evaluations on one benchmark of all that the gate compares."""

    report: Mapping[str, Any]
    """Of the challenger: benchmark, rule, metrics, per_sequence, fps."""
    untrained: Mapping[str, float]
    """AO by sequence of the same network before its first step."""
    static: Mapping[str, float]
    """AO by sequence of the box that never moves."""
    champion: Mapping[str, float] | None
    """AO by sequence of the champion to beat, None when there is none."""

    @property
    def place(self) -> str:
        """`<benchmark>/<rule>` as metrics and tags are called; MLflow's names know no @."""
        return f"{self.report['benchmark']}/{self.report['rule']}".replace("@", "-")


def register_and_decide(
    uri: str, name: str, *, training: Mapping[str, Any], evaluated: Sequence[Evaluated], gate: GateConfig
) -> Decision:
    """Register the training's package (once), run the gate, move or keep the alias.

    Args:
        uri: MLflow store.
        name: of the registered model.
        training: a training's record: package, run_id, run_key, manifest, and template_lead where it was measured.
        evaluated: the package and all it is compared with, a benchmark each.
        gate: what has to be reached.
    """
    scores = {f"{each.place}/{metric}": value for each in evaluated for metric, value in each.report["metrics"].items()}
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
    holder = _holder(uri, name)
    verdict = judge(
        {
            each.report["benchmark"]: Measured(each.report["per_sequence"], each.untrained, each.static, each.champion)
            for each in evaluated
        },
        trial=_trial(uri, name, version.version, holder),
        fps=min((each.report["fps"] for each in evaluated), default=None),
        template_lead=training.get("template_lead"),
        config=gate,
    )
    promoted = new = False
    if CHAMPION in version.aliases:
        promoted, outcome = True, f"nothing new: version {version.version} is the champion already"
    elif verdict.passed:
        promoted = new = True
        promote(uri, name, version.version, " ".join(verdict.reasons))
        outcome = f"promoted: version {version.version} is the champion"
    else:
        refuse(uri, name, version.version, " ".join(verdict.reasons), holder)
        outcome = f"refused: version {version.version} does not become the champion"
    log.info("%s (%s)", outcome, " ".join(verdict.reasons))
    return Decision(outcome, promoted, new, verdict.reasons, name, version.version, _holder(uri, name), version.run_key)


def _trial(uri: str, name: str, version: str, holder: str | None) -> int:
    """Which challenger of `holder` this version is: those that were refused before it count."""
    others = [each for each in versions(uri, name) if each.version != version]
    return 1 + sum(each.tags.get(JUDGED_AGAINST) == (holder or "none") for each in others)


def _holder(uri: str, name: str) -> str | None:
    holder = champion(uri, name)
    return None if holder is None else holder.version
