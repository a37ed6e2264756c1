"""`sstrack`: the command line. Heavy packages are imported inside the commands, so that `--help` stays fast."""

import atexit
import os
import sys
from typing import Annotated

import typer

from cli.commands import dataset, score, track
from cli.commands.demo import demo
from cli.commands.evaluate import evaluate
from cli.commands.ingest import ingest
from cli.commands.train import train
from cli.commands.up import up
from cli.console import guarded, reporting
from cli.options import Json

app = typer.Typer(
    name="sstrack",
    help="From unlabeled video to a registered tracker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, up, ingest, train, evaluate):
    app.command()(command)
models_app = typer.Typer(help="The registry of models.", no_args_is_help=True)
app.add_typer(models_app, name="models")
dataset.add_to(app)
score.add_to(app)
track.add_to(app)


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
