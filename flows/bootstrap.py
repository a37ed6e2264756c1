"""Make a Prefect server ours: pool, deployments, schedules as they were, automations. A second call changes nothing."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from flows.automations import set_up_automations
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

    A deploy writes every schedule anew, off; those that were on are switched on again.

    Args:
        environment: for Prefect's own commands.
        prefect_file: our `prefect.yaml`.
        log: file that what they say is appended to; without it it is only told of a command that fails.
        schedules: switch all of them, and retraining on new data, on or off; None leaves each as it is, at first off.
        pool_template: base job template of a pool whose runs are pods of Kubernetes; without it they are processes of
            a worker of type `process`.

    Returns what is there now, a line each. Raises SSTrackError where a command of Prefect's fails.
    """
    api_url = environment["PREFECT_API_URL"]
    before = {(one.deployment, one.slug): one.active for one in read_schedules(api_url)}
    how = ("process",)
    if pool_template is not None:
        how = ("kubernetes", "--base-job-template", str(pool_template.absolute()))
    _prefect(environment, log, prefect_file.parent, "work-pool", "create", POOL, "--overwrite", "--type", *how)
    deploy = ("--no-prompt", "deploy", "--all", "--prefect-file", str(prefect_file))
    _prefect(environment, log, prefect_file.parent, *deploy)
    keep_schedules(api_url, _named(prefect_file))
    now = switch_schedules(api_url, before if schedules is None else schedules)
    automations = set_up_automations(api_url, settings().notify_url, by_event=schedules)
    return [
        *(f"schedule {one.slug} of {one.deployment}: {'on' if one.active else 'off'}" for one in now),
        *(f"automation {name}" for name in automations),
    ]


def _named(prefect_file: Path) -> set[tuple[str, str]]:
    """Deployment and slug of each schedule in the file."""
    deployments = yaml.safe_load(prefect_file.read_text())["deployments"]
    return {(each["name"], one["slug"]) for each in deployments for one in each.get("schedules", ())}


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
