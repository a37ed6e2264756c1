"""`sstrack`: the command line. Heavy packages are imported inside the commands, so that `--help` stays fast."""

import atexit
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.commands import dataset, models, score, track
from cli.commands.ingest import ingest
from cli.console import absolute_model, guarded, parse_settings, progress_bar, reporting
from pipelines.processes import fork_supervised

app = typer.Typer(
    name="sstrack",
    help="From unlabeled video to a registered tracker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
dataset.add_to(app)
score.add_to(app)
track.add_to(app)
models.add_to(app)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="name=value, may be given again.", metavar="K=V")]
Work = Annotated[Path | None, typer.Option(help="Folder for everything made; default SSTRACK_WORK or ~/.sstrack.")]
WorkersOption = Annotated[int | None, typer.Option(min=0, max=4096, help="Default SSTRACK_WORKERS or all cores.")]
Model = Annotated[
    str, typer.Option(help="models:/<name>@<alias>, models:/<name>/<version>, untrained:<recipe>, or a package folder.")
]


@app.command()
@guarded
def demo(
    videos: Annotated[Path | None, typer.Option(help="A folder of your videos instead of the embedded ones.")] = None,
    work: Work = None,
    options: Set = None,
) -> None:
    """Video to champion on embedded defaults; ends with a table and the lines to type next."""
    fork_supervised()
    from cli.demo import demo_on_terminal

    demo_on_terminal(_absolute(videos), _absolute(work), parse_settings(options or []))


@app.command()
@guarded
def up(
    work: Work = None,
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the Prefect server.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the MLflow server.")] = 5000,
) -> None:
    """Prefect server, worker and MLflow on this machine, our deployments in it; Ctrl-C stops all of it."""
    from flows.stack import local_stack, run_until_stopped
    from pipelines.settings import settings

    with local_stack(_absolute(work) or settings().work, prefect_port, mlflow_port, say=typer.echo) as stack:
        typer.echo(f"Prefect  {stack.prefect_url}\nMLflow   {stack.mlflow_url}\nwork     {stack.work}")
        typer.echo("try      prefect deployment run ingest-videos --watch   (in the repository)")
        typer.echo("Ctrl-C stops all of it.")
        run_until_stopped(stack)


app.command()(ingest)


@app.command()
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


@app.command()
@guarded
def evaluate(
    root: Annotated[str, typer.Option(help="The benchmark's folder.")],
    model: Model = "models:/sstrack@champion",
    benchmark: Annotated[str, typer.Option(help="See `sstrack benchmarks`.")] = "folder",
    out: Annotated[str | None, typer.Option(help="Raw results; default SSTRACK_RESULTS.", metavar="RESULTS")] = None,
    workers: WorkersOption = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="Tracking option name=value.", metavar="K=V")
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, max=15, help="Runs per sequence (GOT-10k 3, VOT 15).")] = 1,
    realtime: Annotated[float | None, typer.Option(help="Simulate frames arriving at this rate, per second.")] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda, cuda:1, ….")] = "auto",
    batch: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Sequences in one batch; default 32 on a GPU, 1 on a CPU.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Track again what is there.")] = False,
    as_json: Json = False,
) -> None:
    """Measure a model on a benchmark. Raw results that exist are not made again."""
    from cli.tables import evaluation_table
    from pipelines.evaluation.run import evaluate as run
    from pipelines.settings import absolute, settings

    here = settings()
    with reporting(as_json) as report, progress_bar("evaluate", "sequences") as update:
        done = run(
            absolute_model(model),
            benchmark,
            absolute(root),
            absolute(out) if out else here.results,
            workers=here.workers if workers is None else workers,
            tracking=parse_settings(options or []),
            repetitions=repetitions,
            realtime=realtime,
            device=device,
            batch=batch,
            progress=update,
            force=force,
        )
        report(done.as_dict(), lambda console: console.print(evaluation_table(done)))


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.expanduser().absolute()


def main() -> None:
    """Console script. Ends without the destructors of native libraries: some abort there and spoil the exit code."""
    code: object = 1
    try:
        app()
    except SystemExit as ending:
        code = ending.code
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
