"""`sstrack`: the command line. Heavy packages are imported inside the commands, so that `--help` stays fast."""

import atexit
import os
import sys

import typer

from cli.commands import dataset, models, plan, score, track
from cli.commands.bootstrap import bootstrap
from cli.commands.demo import demo
from cli.commands.evaluate import evaluate
from cli.commands.ingest import ingest
from cli.commands.serve import serve
from cli.commands.train import train
from cli.commands.up import up

app = typer.Typer(
    name="sstrack",
    help="From unlabeled video to a registered tracker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, up, bootstrap, ingest, train, evaluate, serve):
    app.command()(command)
models.add_to(app)
dataset.add_to(app)
score.add_to(app)
track.add_to(app)
plan.add_to(app)


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
