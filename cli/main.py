"""`sstrack`: the command line. Heavy packages are imported inside the commands, so that `--help` stays fast."""

import atexit
import os
import sys
from typing import Annotated

import typer

from cli.commands import dataset, score, track
from cli.commands.demo import demo
from cli.commands.ingest import ingest
from cli.commands.train import train
from cli.commands.up import up
from cli.console import absolute_model, guarded, parse_settings, progress_bar, reporting
from cli.options import Json, Model, WorkersOption

app = typer.Typer(
    name="sstrack",
    help="From unlabeled video to a registered tracker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, up, ingest, train):
    app.command()(command)
models_app = typer.Typer(help="The registry of models.", no_args_is_help=True)
app.add_typer(models_app, name="models")
dataset.add_to(app)
score.add_to(app)
track.add_to(app)


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


@models_app.command("list")
@guarded
def models_list(as_json: Json = False) -> None:
    """All versions of the registered model."""
    from cli.tables import models_table
    from pipelines.registry.versions import versions
    from pipelines.settings import settings

    here = settings()
    with reporting(as_json) as report:
        rows = [version.as_dict() for version in versions(here.mlflow_uri, here.model_name)]
        report({"models": rows}, lambda console: console.print(models_table(here.model_name, here.mlflow_uri, rows)))


@models_app.command("show")
@guarded
def models_show(
    model: Annotated[str, typer.Argument(help="models:/<name>@<alias> or models:/<name>/<version>.")],
    as_json: Json = False,
) -> None:
    """One version: where it comes from, its scores, why it was promoted or not."""
    from cli.tables import key_value_table
    from pipelines.registry.versions import find
    from pipelines.settings import settings

    with reporting(as_json) as report:
        found = find(settings().mlflow_uri, model).as_dict()
        report(found, lambda console: console.print(key_value_table(model, found)))


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
