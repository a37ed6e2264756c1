"""Flow `retrain-tracker`: plan, train, evaluate, register, gate, and move the alias or keep the champion.

Each stage is find or do, so a rerun of the same data and recipe costs seconds and decides nothing new.
"""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas import State
from prefect.states import Completed

from flows import artifacts, events
from flows.actor import run_tags, this_actor
from flows.evaluate_tracker import check_judge, evaluate_tracker, measure_static, write_page
from flows.hooks import end_record, end_subflows, stop_submitted_job
from flows.logs import show_our_logs
from flows.parameters import AbsoluteUri, BenchmarkName, Benchmarks, Cluster, Gate, Overrides, RecipeName, Workers
from flows.train_tracker import train_tracker
from pipelines import storage
from pipelines.evaluation.alike import require_alike
from pipelines.settings import settings
from pipelines.training.options import TrainOptions
from sstrack.gates import GateConfig
from sstrack.pretrained import PRETRAINED

log = logging.getLogger(__name__)


@flow(
    name="retrain-tracker",
    validate_parameters=True,
    on_cancellation=[stop_submitted_job, end_record, end_subflows],
    on_crashed=[end_record, end_subflows],
)
def retrain_tracker(
    dataset: AbsoluteUri | None = None,
    recipe: RecipeName = "tiny_cpu",
    overrides: Overrides | None = None,
    benchmark: BenchmarkName = "folder",
    root: AbsoluteUri | None = None,
    runs: AbsoluteUri | None = None,
    results: AbsoluteUri | None = None,
    workers: Workers | None = None,
    gate: Gate | None = None,
    cluster: Cluster | None = None,
    benchmarks: Benchmarks | None = None,
    options: TrainOptions | None = None,
) -> State[dict[str, Any]]:
    """Train on the newest manifest, and promote the model if the gate lets it pass.

    Args:
        dataset: the dataset's folder, default `SSTRACK_DATASET`. Without a manifest in it there is nothing to do.
        recipe: a recipe's name.
        overrides: fields of the recipe to replace.
        benchmark: what the model is judged on.
        root: the benchmark's folder, default `SSTRACK_BENCHMARK_ROOT`.
        runs: where checkpoints and packages go, default `SSTRACK_RUNS`.
        results: where raw results are kept, default `SSTRACK_RESULTS`.
        workers: Ray Train workers and evaluation tasks, default `SSTRACK_WORKERS`.
        gate: floors and confidence that promotion needs.
        cluster: Ray to train on, default `SSTRACK_CLUSTER`; evaluation stays on this machine.
        benchmarks: several benchmarks with their folders, instead of `benchmark` and `root`. The gate judges all of
            them, and `evaluation` holds each by its name.
        options: how the training runs, what is kept.
    """
    show_our_logs()
    here = settings()
    source = dataset or here.dataset
    count = here.workers if workers is None else workers
    if not storage.exists(storage.join(source, "HEAD")):
        log.info("nothing new: no dataset was published at %s", source)
        return Completed(message="nothing new: there is no dataset yet", data={})
    roots = benchmarks or {benchmark: root or here.benchmark_root}
    for name, place in roots.items():
        check_judge(name, place)
    plan(source, recipe, overrides or {}, runs or here.runs, roots, workers)
    trained = train_tracker(source, recipe, overrides, None, runs or here.runs, workers, cluster, options)

    def evaluated(model: str) -> dict[str, Any]:
        return evaluate_tracker(model, results=results or here.results, workers=count, benchmarks=roots, page=False)

    start = find_start(trained["untrained"])
    named = "model that ships" if start == PRETRAINED else "untrained start"
    reports, untrained = evaluated(trained["package"]), evaluated(start)
    rival = find_champion(trained["package"], list(untrained.values()) if start == PRETRAINED else None)
    champion = evaluated(rival) if rival else None
    static = {name: measure_static(name, place) for name, place in roots.items()}
    for name, report in reports.items():
        require_alike(name, [each[name] for each in (reports, untrained, champion) if each], static[name])
        artifacts.eval_leaderboard(
            f"{report['benchmark']}, rule {report['rule']}",
            [
                artifacts.leaderboard_row(f"trained {trained['run_key']}", report),
                artifacts.leaderboard_row(named, untrained[name]),
                artifacts.leaderboard_row("static box", static[name]),
                *([artifacts.leaderboard_row(f"champion {rival}", champion[name])] if champion else []),
            ],
        )
    found = {who: [one["results"] for one in each.values()] for who, each in (("trained", reports), (named, untrained))}
    if champion and (held := [one["results"] for one in champion.values()]) != found[named]:
        found[champion_label()] = held  # the model that ships may be both
    page = write_page(found)
    pictures = keep_page(page, trained["run_id"]) if page is not None else []
    decision = decide(trained, reports, untrained, static, champion, rival, gate or GateConfig(), roots, pictures)
    artifacts.promotion_decision(decision)
    if decision["new"]:
        events.champion_promoted(decision["model_name"], decision["version"], decision["outcome"])
    compared = {"trained": reports, "untrained": untrained, "static": static}
    return Completed(
        message=decision["outcome"],
        data={
            "training": trained,
            "evaluation": compared if benchmarks else {who: each[benchmark] for who, each in compared.items()},
            "report": page,
            "decision": decision,
        },
    )


@task(name="plan", retries=0)
def plan(
    dataset: str,
    recipe: str,
    overrides: dict[str, Any],
    runs: str,
    roots: dict[str, str],
    workers: int | str | None,
) -> None:
    """Show what is going to be done, why, and what it costs, as `sstrack plan` does."""
    from pipelines.trainings.plan import plan_retrain

    here = settings()
    found = plan_retrain(here.mlflow_uri, here.model_name, dataset, recipe, overrides, runs, roots, workers)
    log.info("%s", found.decision)
    artifacts.retrain_plan(found.decision, found.reasons())


@task(name="find the start", retries=0)
def find_start(untrained: str) -> str:
    """The model that the training started from: the one that ships by its name, else the untrained package."""
    from pipelines.registry.shipped import start_of

    return start_of(untrained)


@task(name="find the champion", retries=0)
def find_champion(package: str, shipped: list[dict[str, Any]] | None) -> str | None:
    """The champion's URI, or None when there is none or the package at hand is the champion itself.

    Where the training started from the model that ships, whose evaluations `shipped` are then, and nobody is champion,
    that model becomes it first.
    """
    from pipelines.registry.decide import rival_of
    from pipelines.registry.shipped import REASON_SHIPPED, hold_shipped

    here = settings()
    if shipped is not None:
        version = hold_shipped(here.mlflow_uri, here.model_name, shipped, this_actor())
        if version is not None:
            events.champion_promoted(here.model_name, version, f"version {version} is the champion: {REASON_SHIPPED}")
    return rival_of(here.mlflow_uri, here.model_name, package)


@task(name="name the champion", retries=0)
def champion_label() -> str:
    """What reports call it."""
    from pipelines.registry.tracker_names import champion_name

    return champion_name() or "champion"


@task(name="keep the report with the run", retries=0)
def keep_page(page: str, run_id: str) -> list[str]:
    """The page as an artifact of the training's MLflow run, where its viewer shows it, and the pictures that the model
    card shows. Returns their paths there, the page's first."""
    from pipelines.evaluation.report.write import card_pictures
    from pipelines.registry.runs import TrainingRun, log_page, registry_client

    uri = settings().mlflow_uri
    kept = log_page(uri, run_id, Path(page), card_pictures(Path(page)))
    run = TrainingRun(registry_client(uri), run_id).url(uri)
    artifacts.eval_report(Path(page), f"{run}/artifacts/{kept[0]}" if run else None)
    return kept


@task(name="register, gate, alias", retries=0)
def decide(
    trained: dict[str, Any],
    reports: dict[str, Any],
    untrained: dict[str, Any],
    static: dict[str, Any],
    champion: dict[str, Any] | None,
    rival: str | None,
    gate: GateConfig,
    roots: dict[str, str],
    kept: list[str],
) -> dict[str, Any]:
    """Register the package, judge it, move the alias or not; the decision as a dictionary. What is compared comes by
    benchmark."""
    from pipelines.evaluation.report.published import published_on
    from pipelines.evaluation.targets import open_target
    from pipelines.registry.card import Kept
    from pipelines.registry.decide import Evaluated, register_and_decide
    from pipelines.registry.smoke import Clip

    here = settings()
    first = open_target(*next(iter(roots.items()))).sequences[0]
    x, y, w, h = first.first_box.tolist()
    decision = register_and_decide(
        here.mlflow_uri,
        here.model_name,
        training=trained,
        evaluated=[
            Evaluated(
                report,
                untrained[name]["per_sequence"],
                static[name]["per_sequence"],
                champion[name]["per_sequence"] if champion else None,
                {each.name: value for each in published_on(name) if (value := each.metrics.get(_headline(report)))},
            )
            for name, report in reports.items()
        ],
        rival=rival,
        gate=gate,
        actor=this_actor(),
        clip=Clip(first.frames, (x, y, w, h)),
        kept=Kept(kept[0], tuple(kept[1:])) if kept else None,
        tags=run_tags(),
    )
    return asdict(decision)


def _headline(report: dict[str, Any]) -> str:
    """The metric that ranks."""
    return next(iter(report["metrics"]))
