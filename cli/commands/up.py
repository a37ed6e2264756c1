"""`sstrack up`: the local stack."""

from typing import Annotated

import typer

from cli.console import guarded
from cli.options import Work, absolute


@guarded
def up(
    work: Work = None,
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the Prefect server.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the MLflow server.")] = 5000,
    schedules: Annotated[
        bool | None,
        typer.Option(help="Switch all schedules on or off (hourly ingest, weekly retrain); else each stays as it is."),
    ] = None,
) -> None:
    """Prefect server, worker and MLflow on this machine, our deployments in it; Ctrl-C stops all of it."""
    from flows.stack import local_stack, run_until_stopped
    from pipelines.settings import settings

    folder = absolute(work) or settings().work
    with local_stack(folder, prefect_port, mlflow_port, say=typer.echo, schedules=schedules) as stack:
        typer.echo(f"Prefect  {stack.prefect_url}\nMLflow   {stack.mlflow_url}\nwork     {stack.work}")
        typer.echo("try      prefect deployment run ingest-videos --watch")
        typer.echo("in another shell, where it is not in the repository or has another work folder, first")
        typer.echo(f"         export PREFECT_API_URL={stack.prefect_url}/api PREFECT_PLUGINS_ENABLED=true")
        typer.echo("Ctrl-C stops all of it.")
        run_until_stopped(stack)
