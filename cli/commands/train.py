"""`sstrack train`: a recipe on a dataset, resumed or found by the same command."""

from typing import Annotated

import typer

from cli.console import guarded, parse_settings, reporting
from cli.options import Json, Set
from pipelines.processes import fork_supervised


@guarded
def train(
    datasets: Annotated[list[str], typer.Argument(metavar="DATASET...", help="One dataset, or several to be mixed.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name.")] = "tiny_cpu",
    out: Annotated[str | None, typer.Option(help="Folder of runs; default SSTRACK_RUNS.", metavar="RUN")] = None,
    weights: Annotated[
        list[float] | None, typer.Option("--weight", help="Share of the samples from each dataset; repeat it.")
    ] = None,
    workers: Annotated[
        str | None, typer.Option(help="Ray Train workers, 4 or 2-8; 0 uses no Ray. Default SSTRACK_WORKERS.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="Ray to train on; default SSTRACK_CLUSTER or local.", metavar="local|auto|HOST:PORT|job"),
    ] = None,
    run_options: Annotated[
        list[str] | None,
        typer.Option("--option", help="How it runs: parallel=fsdp, keep=5, timeout_s=60.", metavar="K=V"),
    ] = None,
    view_every: Annotated[
        int | None, typer.Option(min=0, help="Steps between pictures in <run>/views; default ten, 0 for none.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Steps to profile into <run>/profile, 20-25 say.", metavar="A-B")
    ] = None,
    options: Set = None,
    as_json: Json = False,
) -> None:
    """Train a recipe on a dataset or a mixture. The same command again resumes, or finds what is done."""
    from pipelines.place import place
    from pipelines.settings import absolute, settings

    here = settings()
    if place(cluster or here.cluster).kind != "job":  # a job has no processes here, and Ctrl-C has to reach it
        fork_supervised()
    from cli.bars import training_bar
    from cli.tables import key_value_table
    from pipelines.trainings.record import train_and_record

    watching = {name: value for name, value in (("view_every", view_every), ("profile", profile)) if value is not None}
    with reporting(as_json) as report, training_bar() as show:
        result = train_and_record(
            here.mlflow_uri,
            [absolute(dataset) for dataset in datasets],
            recipe,
            parse_settings(options or []),
            absolute(out) if out else here.runs,
            weights=weights or (),
            workers=workers,
            options={**parse_settings(run_options or []), **watching},
            cluster=cluster or here.cluster,
            progress=show,
        )
        report(result, lambda console: console.print(key_value_table(result["run_key"], result)))
