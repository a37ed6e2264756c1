"""Register a trained model, judge it, and move the alias or keep the champion; each decision with its reasons."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient

from pipelines.registry.addresses import version_page
from pipelines.registry.card import CardFacts, DataFacts, Kept, data_facts, data_line, others_of
from pipelines.registry.model_scores import Scored
from pipelines.registry.names import DATASETS, REASON, SCORE, VERDICT, VIDEO
from pipelines.registry.pages import describe_version
from pipelines.registry.promotion import Overtaken, promote, refuse, state_of
from pipelines.registry.runs import registry_client
from pipelines.registry.smoke import Clip, smoke
from pipelines.registry.versions import Registered, champion, register
from pipelines.training.packages import local_package
from sstrack.gates import Check, GateConfig, Measured, Verdict, judge
from sstrack.models.package_files import package_recipe

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
    verdict: dict[str, Any]
    """The gate's, as data; empty where there was nothing to decide."""
    page: str | None = None
    """The version's page, where MLflow is a server."""


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
    published: Mapping[str, float] = field(default_factory=dict[str, float])
    """What others have published there, by tracker, in the metric that ranks; for the card."""

    @property
    def scored(self) -> Scored:
        """The challenger's numbers."""
        names = ("benchmark", "rule", "metrics", "per_sequence", "annotation")
        return Scored(**{name: self.report[name] for name in names})


def register_and_decide(
    uri: str,
    name: str,
    *,
    training: Mapping[str, Any],
    evaluated: Sequence[Evaluated],
    rival: str | None,
    gate: GateConfig,
    actor: str,
    clip: Clip | None = None,
    kept: Kept | None = None,
    tags: Mapping[str, str] | None = None,
) -> Decision:
    """Register the training's package (once), run the gate, move or keep the alias.

    Args:
        uri: MLflow store.
        name: of the registered model.
        training: a training's record: package, run_id, run_key, manifest, and template_lead where it was measured.
        evaluated: the package and all it is compared with, a benchmark each.
        rival: URI of the champion that `evaluated` holds the scores of, from `rival_of`.
        gate: what has to be reached.
        actor: who asks, for the journal.
        clip: what the package has to track after it was loaded back from the registry.
        kept: the evaluation's report among the run's artifacts, for the card.
        tags: further tags of the version: the flow run that asks, say.
    """
    scored = [each.scored for each in evaluated]
    data = [data_facts(**each) for each in training.get("datasets", ())]
    version = register(
        uri,
        name,
        package=local_package(training["package"]),
        run_id=training["run_id"],
        run_key=training["run_key"],
        manifest=training["manifest"],
        scored=scored,
        tags={
            SCORE: "; ".join(each.headline for each in scored),
            VIDEO: data_line(data),
            DATASETS: json.dumps(list(training.get("datasets", ()))),
            **_short_tags(scored),
        },
    )
    now = state_of(uri, name)
    if now.champion == version.version:
        outcome = f"nothing new: version {version.version} is the champion already"
        log.info("%s", outcome)
        reasons = (version.tags[REASON],) if REASON in version.tags else ()
        page = version_page(uri, name, version.version)
        return Decision(outcome, True, False, reasons, name, version.version, now.champion, version.run_key, {}, page)
    expected = rival.rpartition("/")[2] if rival else None
    verdict = _verdict(training, evaluated, gate, now.trial(version.version))
    if version.version in now.withdrawn:
        verdict = verdict.with_check(Check("withdrawn", False, _WITHDRAWN.format(version.version)))
    if verdict.passed:
        verdict = verdict.with_check(smoke(uri, name, version.version, clip))
    client = registry_client(uri)
    for tag, value in (tags or {}).items():  # not where nothing was decided: they lead to who did
        client.set_model_version_tag(name, version.version, tag, value)
    if verdict.passed:
        client.set_model_version_tag(name, version.version, VERDICT, "passed")
        try:
            why = " ".join(verdict.reasons)
            outcome = promote(
                uri, name, version.version, expected=expected, actor=actor, reason=why, verdict=verdict.as_dict()
            ).outcome
            moved = True
        except Overtaken as error:
            verdict = verdict.with_check(Check("overtaken", False, str(error)))
    if not verdict.passed:
        why, moved = " ".join(verdict.reasons), False
        outcome = f"refused: version {version.version} does not become the champion"
        refuse(uri, name, version.version, expected=expected, actor=actor, reason=why, verdict=verdict.as_dict())
    log.info("%s (%s)", outcome, why)
    decision = Decision(
        outcome,
        moved,
        moved,
        verdict.reasons,
        name,
        version.version,
        state_of(uri, name).champion,
        version.run_key,
        verdict.as_dict(),
        version_page(uri, name, version.version),
    )
    facts = _facts(client, version, training, data, evaluated, verdict, kept or Kept())
    describe_version(client, facts, {"outcome": outcome, "actor": actor, "against": expected, **verdict.as_dict()})
    return decision


def _facts(
    client: MlflowClient,
    version: Registered,
    training: Mapping[str, Any],
    data: Sequence[DataFacts],
    evaluated: Sequence[Evaluated],
    verdict: Verdict,
    kept: Kept,
) -> CardFacts:
    run = client.get_run(training["run_id"])
    tags = run.data.tags
    ends = (training.get("loss_start"), training.get("loss_end"))
    return CardFacts(
        version.name,
        version.version,
        version.run_key,
        training["run_id"],
        version.package_digest,
        package_recipe(local_package(training["package"])),
        training.get("steps"),
        None if ends[0] is None or ends[1] is None else (ends[0], ends[1]),
        data,
        tags.get("mlflow.source.git.commit"),
        [each.scored for each in evaluated],
        {each.report["benchmark"]: others_of(each.untrained, each.static, each.champion) for each in evaluated},
        {each.report["benchmark"]: each.published for each in evaluated},
        verdict,
        run.info.experiment_id,
        kept,
    )


def _short_tags(scored: Sequence[Scored]) -> dict[str, str]:
    """`AO/folder-1`: MLflow's lists show eighteen characters of a tag's name."""
    return {
        f"{metric}/{each.benchmark.replace('@', '-')}": f"{value:.2f}"
        for each in scored
        for metric, value in each.metrics.items()
    }


_WITHDRAWN = (
    "version {0} was champion and somebody rolled back from it; a person can take it back with "
    "`sstrack models promote {0}`"
)


def _verdict(training: Mapping[str, Any], evaluated: Sequence[Evaluated], gate: GateConfig, trial: int) -> Verdict:
    measured = {
        each.report["benchmark"]: Measured(each.report["per_sequence"], each.untrained, each.static, each.champion)
        for each in evaluated
    }
    return judge(
        measured,
        trial=trial,
        fps=min((each.report["fps"] for each in evaluated), default=None),
        template_lead=training.get("template_lead"),
        config=gate,
    )
