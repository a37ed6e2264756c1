"""Flow `evaluate-tracker`: measure one model on one benchmark. Raw results that exist are found, not made again."""

from dataclasses import asdict
from typing import Any

from prefect import flow, task

from flows import artifacts
from flows.logs import ProgressLines, show_our_logs
from flows.parameters import AbsoluteUri, BenchmarkName, ModelUri, Overrides, Workers
from pipelines.settings import settings


@flow(name="evaluate-tracker", validate_parameters=True)
def evaluate_tracker(
    model: ModelUri | None = None,
    benchmark: BenchmarkName = "folder",
    root: AbsoluteUri | None = None,
    results: AbsoluteUri | None = None,
    workers: Workers | None = None,
    tracking: Overrides | None = None,
) -> dict[str, Any]:
    """Evaluate `model` and write the leaderboard.

    Args:
        model: default the champion of `SSTRACK_MODEL_NAME`.
        benchmark: a registered benchmark's name.
        root: the benchmark's folder, default `SSTRACK_BENCHMARK_ROOT`.
        results: where raw results are kept, default `SSTRACK_RESULTS`.
        workers: Ray tasks, default `SSTRACK_WORKERS`.
        tracking: options of the tracker that differ from the model's recipe.
    """
    show_our_logs()
    here = settings()
    report = measure(
        model or f"models:/{here.model_name}@champion",
        benchmark,
        root or here.benchmark_root,
        results or here.results,
        here.workers if workers is None else workers,
        tracking or {},
    )
    static = measure_static(benchmark, root or here.benchmark_root)
    artifacts.eval_leaderboard(
        f"{report['benchmark']}, rule {report['rule']}",
        [
            artifacts.leaderboard_row(report["model"], report["metrics"]),
            artifacts.leaderboard_row("static box", static["metrics"]),
        ],
    )
    return report


@task(name="track and score", retries=0)
def measure(
    model: str, benchmark: str, root: str, results: str, workers: int, tracking: dict[str, Any]
) -> dict[str, Any]:
    """The evaluation's report as a dictionary."""
    from pipelines.evaluation.run import evaluate

    lines = ProgressLines("evaluate", "sequences")
    return evaluate(
        model, benchmark, root, results, workers=workers, tracking=tracking, progress=lines.update
    ).as_dict()


@task(name="score the static box", retries=0)
def measure_static(benchmark: str, root: str) -> dict[str, Any]:
    """Scores of the box that never moves."""
    from pipelines.evaluation.run import evaluate_static

    return asdict(evaluate_static(benchmark, root))
