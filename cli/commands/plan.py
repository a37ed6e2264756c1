"""`sstrack plan` and `sstrack health`: what a retrain would do, and whether all is well."""

from typing import Annotated

import typer

from cli.console import guarded, parse_settings, reporting

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def add_to(app: typer.Typer) -> None:
    """Register this family."""
    app.command()(plan)
    app.command()(health)


@guarded
def plan(
    dataset: Annotated[str | None, typer.Argument(help="A dataset; default SSTRACK_DATASET.")] = None,
    recipe: Annotated[str, typer.Option(help="A recipe's name.")] = "tiny_cpu",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="name=value, may be given again.")
    ] = None,
    runs: Annotated[str | None, typer.Option(help="Folder of runs; default SSTRACK_RUNS.")] = None,
    benchmark: Annotated[str, typer.Option(help="What the model would be judged on.")] = "folder",
    root: Annotated[str | None, typer.Option(help="Its folder; default SSTRACK_BENCHMARK_ROOT.")] = None,
    workers: Annotated[str | None, typer.Option(help="Ray Train workers, as for `train`.")] = None,
    as_json: Json = False,
) -> None:
    """What `retrain-tracker` would do now, why, and at what cost. Starts nothing; exit code 1 where it would fail."""
    from pipelines.settings import absolute, settings
    from pipelines.trainings.plan import plan_retrain

    here = settings()
    with reporting(as_json) as report:
        found = plan_retrain(
            here.mlflow_uri,
            here.model_name,
            absolute(dataset) if dataset else here.dataset,
            recipe,
            parse_settings(overrides or []),
            absolute(runs) if runs else here.runs,
            {benchmark: absolute(root) if root else here.benchmark_root},
            workers,
        )
        lines = [found.decision, *(f"  {sentence}" for sentence in found.reasons())]
        report(found.as_dict(), lambda console: console.print("\n".join(lines), markup=False))
    if found.problem:
        raise typer.Exit(1)


@guarded
def health(
    dataset: Annotated[str | None, typer.Argument(help="A dataset; default SSTRACK_DATASET.")] = None,
    limits: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="A limit, champion_days=14 say.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Champion's age, clips it has not learnt from, drift, broken and quarantined videos; exit code 1 with an alarm."""
    from pydantic import ValidationError

    from pipelines.errors import UsageError
    from pipelines.health.check import check_health
    from pipelines.health.limits import HealthLimits
    from pipelines.health.text import health_lines
    from pipelines.settings import absolute, settings

    here = settings()
    try:
        within = HealthLimits.model_validate(parse_settings(limits or []))
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']} (given: {first['input']!r})") from error
    with reporting(as_json) as report:
        source = absolute(dataset) if dataset else here.dataset
        found = check_health(source, here.mlflow_uri, here.model_name, within)
        report(found.as_dict(), lambda console: console.print("\n".join(health_lines(found)), markup=False))
    if found.alarms:
        raise typer.Exit(1)
