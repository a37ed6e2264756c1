"""Flow `evaluate-tracker`: measure one model on benchmarks. Raw results that exist are found, not made again."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas import State

from flows import artifacts
from flows.logs import show_our_logs
from flows.parameters import AbsoluteUri, BenchmarkName, Benchmarks, ModelUri, Overrides, Workers
from flows.task_progress import TaskProgress
from pipelines.settings import settings


@flow(name="evaluate-tracker", validate_parameters=True)
def evaluate_tracker(
    model: ModelUri | None = None,
    benchmark: BenchmarkName = "folder",
    root: AbsoluteUri | None = None,
    results: AbsoluteUri | None = None,
    workers: Workers | None = None,
    tracking: Overrides | None = None,
    benchmarks: Benchmarks | None = None,
    page: bool = True,
) -> dict[str, Any]:
    """Evaluate `model`, write a leaderboard a benchmark and one report of all.

    Returns the benchmark's report; with `benchmarks`, reports by benchmark. A benchmark that fails does not keep the
    others from being measured.

    Args:
        model: default the champion of `SSTRACK_MODEL_NAME`.
        benchmark: a registered benchmark's name.
        root: the benchmark's folder, default `SSTRACK_BENCHMARK_ROOT`.
        results: where raw results are kept, default `SSTRACK_RESULTS`.
        workers: Ray tasks, default `SSTRACK_WORKERS`.
        tracking: options of the tracker that differ from the model's recipe.
        benchmarks: several benchmarks with their folders, instead of `benchmark` and `root`.
        page: write the report as an HTML page too.
    """
    show_our_logs()
    here = settings()
    roots = benchmarks or {benchmark: root or here.benchmark_root}
    check(list(roots.items()))
    name = model or f"models:/{here.model_name}@champion"
    count = here.workers if workers is None else workers
    states = {
        each: measure.with_options(name=f"track and score {each}")(
            name, each, place, results or here.results, count, tracking or {}, return_state=True
        )
        for each, place in roots.items()
    }
    reports = {each: _leaderboard(each, roots[each], state) for each, state in states.items() if state.is_completed()}
    scored = [report["results"] for report in reports.values() if report["metrics"]]
    try:
        written = write_page({"": scored}) if page and scored else None
        if written is not None:
            artifacts.eval_report(Path(written))
    finally:
        for state in states.values():
            state.result()  # raises what made a benchmark fail, when the others are shown
    return reports if benchmarks else reports[benchmark]


def _leaderboard(name: str, root: str, state: State[dict[str, Any]]) -> dict[str, Any]:
    report: Any = state.result()
    rows = [artifacts.leaderboard_row(report["model"], report)] if report["metrics"] else []
    if rows and report["protocol"] == "one_pass":
        rows.append(artifacts.leaderboard_row("static box", measure_static(name, root)))
    if rows:
        artifacts.eval_leaderboard(f"{report['benchmark']}, rule {report['rule']}", rows)
    return report


@task(name="check the benchmarks", retries=0)
def check(roots: list[tuple[str, str]]) -> None:
    """Refuse benchmarks that are not there before anything is tracked."""
    from pipelines.evaluation.targets import check_targets

    check_targets(roots)


@task(name="check the judge", retries=0)
def check_judge(benchmark: str, root: str) -> None:
    """Refuse a benchmark that is not there, or cannot judge a retrained model, before anything is trained."""
    from pipelines.evaluation import targets

    targets.check_judge(benchmark, root)


@task(name="track and score", retries=0)
def measure(
    model: str, benchmark: str, root: str, results: str, workers: int, tracking: dict[str, Any]
) -> dict[str, Any]:
    """The evaluation's report as a dictionary."""
    from pipelines.evaluation.run import How, evaluate

    how = How(workers=workers, tracking=tracking)
    show = TaskProgress("evaluation-progress", f"evaluate {benchmark}", "frames")
    return evaluate(model, benchmark, root, results, how, show).as_dict()


@task(name="score the static box", retries=0)
def measure_static(benchmark: str, root: str) -> dict[str, Any]:
    """Scores of the box that never moves."""
    from pipelines.evaluation.run import evaluate_static

    return asdict(evaluate_static(benchmark, root))


@task(name="write the report", retries=0)
def write_page(trackers: dict[str, list[str]]) -> str | None:
    """One HTML page under `<work>/reports` on results of trackers by name; None without any."""
    from pipelines.evaluation.report.write import write_page_of

    page = write_page_of(trackers, settings().work / "reports")
    return None if page is None else str(page)
