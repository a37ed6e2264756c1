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
) -> None:
    """Prefect server, worker and MLflow on this machine, our deployments in it; Ctrl-C stops all of it."""
    from flows.stack import local_stack, run_until_stopped
    from pipelines.settings import settings

    with local_stack(absolute(work) or settings().work, prefect_port, mlflow_port, say=typer.echo) as stack:
        typer.echo(f"Prefect  {stack.prefect_url}\nMLflow   {stack.mlflow_url}\nwork     {stack.work}")
        typer.echo("try      prefect deployment run ingest-videos --watch   (in the repository)")
        typer.echo("Ctrl-C stops all of it.")
        run_until_stopped(stack)
