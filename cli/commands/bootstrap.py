"""`sstrack bootstrap`: our deployments on a Prefect server that runs already."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.console import guarded


@guarded
def bootstrap(
    prefect_file: Annotated[
        Path | None, typer.Option(help="Our prefect.yaml; default the one in this folder, or of the checkout.")
    ] = None,
    schedules: Annotated[
        bool | None, typer.Option(help="Switch all schedules on or off; else each stays as it is, at first off.")
    ] = None,
    pool_template: Annotated[
        Path | None,
        typer.Option(help="infra/kubernetes/pool.json, or your own: each flow run is a pod, not a worker's process."),
    ] = None,
) -> None:
    """Work pool, deployments and automations on the Prefect server that PREFECT_API_URL names."""
    from flows.bootstrap import bootstrap as run
    from flows.stack import PREFECT_FILE
    from pipelines.errors import UsageError

    if not os.environ.get("PREFECT_API_URL"):
        raise UsageError("set PREFECT_API_URL to the server's API, http://host:4200/api say; `sstrack up` needs none")
    found = [path for path in (prefect_file, Path("prefect.yaml"), PREFECT_FILE) if path is not None and path.is_file()]
    if not found or (prefect_file is not None and found[0] != prefect_file):
        raise UsageError(f"no {prefect_file or PREFECT_FILE}: name our prefect.yaml with --prefect-file")
    if pool_template is not None and not pool_template.is_file():
        raise UsageError(f"no file {pool_template}: name a base job template, infra/kubernetes/pool.json say")
    for line in run(os.environ, found[0].absolute(), schedules=schedules, pool_template=pool_template):
        typer.echo(line)
