"""Make a Prefect server ours: pool, deployments, schedules as they were, automations. A second call changes nothing."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.automations import set_up_automations
from flows.deployments import keep_parameters, read_parameters
from flows.schedules import keep_schedules, read_schedules, switch_schedules
from flows.stack_note import POOL
from pipelines.errors import SSTrackError
from pipelines.settings import settings


def bootstrap(
    environment: Mapping[str, str],
    prefect_file: Path,
    log: Path | None = None,
    schedules: bool | None = None,
    pool_template: Path | None = None,
) -> list[str]:
    """Set up the server that `PREFECT_API_URL` of `environment` names.

    A deploy writes every schedule anew, off, and empties parameters; those that were on are switched on again, and
    parameters that somebody gave a deployment stay.

    Args:
        environment: for Prefect's own commands.
        prefect_file: our `prefect.yaml`.
        log: file that what they say is appended to; without it it is only told of a command that fails.
        schedules: switch all of them, and retraining on new data, on or off; None leaves each as it is, at first off.
        pool_template: base job template of a pool whose runs are pods of Kubernetes; without it they are processes of
            a worker of type `process`, unless the pool is one of pods already.

    Returns what is there now, a line each. Raises SSTrackError where a command of Prefect's fails.
    """
    api_url = environment["PREFECT_API_URL"]
    before = {(one.deployment, one.slug): one.active for one in read_schedules(api_url)}
    given = read_parameters(api_url)
    named = _named(prefect_file)
    there = _pool_type(api_url)
    if pool_template is not None:
        if there not in (None, "kubernetes"):
            raise SSTrackError(
                f"the work pool {POOL} is there already, for runs that are processes, and Prefect changes no pool's "
                f"type: `prefect work-pool delete {POOL}` first, when nothing runs"
            )
        how = ("kubernetes", "--base-job-template", str(pool_template.absolute()))
        _prefect(environment, log, prefect_file.parent, "work-pool", "create", POOL, "--overwrite", "--type", *how)
    elif there != "kubernetes":  # whose template would be replaced by Prefect's own
        _prefect(environment, log, prefect_file.parent, "work-pool", "create", POOL, "--overwrite", "--type", "process")
    deploy = ("--no-prompt", "deploy", "--all", "--prefect-file", str(prefect_file))
    try:
        _prefect(environment, log, prefect_file.parent, *deploy)
    finally:  # one that fails has emptied those of some deployments
        keep_parameters(api_url, given)
    keep_schedules(api_url, named)
    now = switch_schedules(api_url, before if schedules is None else schedules)
    automations = set_up_automations(api_url, settings().notify_url, by_event=schedules)
    return [
        *(f"schedule {one.slug} of {one.deployment}: {'on' if one.active else 'off'}" for one in now),
        *(f"automation {name}" for name in automations),
    ]


def _named(prefect_file: Path) -> set[tuple[str, str]]:
    """Deployment and slug of each schedule in the file."""
    deployments = yaml.safe_load(prefect_file.read_text())["deployments"]
    return {(each["name"], one.get("slug") or "") for each in deployments for one in each.get("schedules") or ()}


def _pool_type(api_url: str) -> str | None:
    """Of our work pool; None where there is none yet."""
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        try:
            return client.read_work_pool(POOL).type
        except ObjectNotFound:
            return None


def _prefect(environment: Mapping[str, str], log: Path | None, folder: Path, *words: str) -> None:
    """One finished command of Prefect's."""
    done = subprocess.run(
        (sys.executable, "-m", "prefect", *words),
        env={**os.environ, **environment},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    if log is not None:
        with log.open("a") as file:
            file.write(said)
    if done.returncode != 0:
        where = f"see {log}" if log is not None else said.strip()[-1000:]
        raise SSTrackError(f"`prefect {' '.join(words)}` failed: {where}")
