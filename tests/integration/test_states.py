"""How a retrain that is interrupted in its training ends, by what interrupted it: the table of docs/operations.md, on a
real server and worker, without Ray and with two workers of it. Afterwards the same retrain goes on to its end."""

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from flows.stack_note import STACK
from pipelines.processes import descendants, marked, stop_processes
from pipelines.registry.runs import registry_client
from pipelines.settings import own_store
from pipelines.training.metrics import read_metrics
from tests.dataset_factory import make_dataset
from tests.factories import write_sequences
from tests.stack import Api, Up, end_up, eventually, prefect, start_up

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

PATIENCE_S = 400
RAY_GONE_S = 30
HOOKS_S = 60
"""A worker calls them after it has told the state."""
GATE = {"min_ao": 0, "margin_untrained": 0, "margin_static": 0, "min_template_lead": -1}
SMALL = {
    "net.width": 48,
    "net.depth": 1,
    "data.group_size": 2,
    "optim.steps": 600,
    "optim.warmup": 5,
    "checkpoint_every": 20,
    "objective.template_use_every": 0,
}


def cancel(up: Up, run: str) -> None:
    done = prefect("flow-run", "cancel", run, api=up.api.url)
    assert done.returncode == 0, done.stdout + done.stderr


def kill_the_run(up: Up, run: str) -> None:
    worker = the_worker(up)
    for process in worker.children():
        process.kill()


def kill_the_worker(up: Up, run: str) -> None:
    the_worker(up).kill()
    up.process.communicate(timeout=90)


def interrupt_up(up: Up, run: str) -> None:
    end_up(up.process, signal.SIGINT)


def kill_up(up: Up, run: str) -> None:
    up.process.kill()
    up.process.communicate()


def the_worker(up: Up) -> psutil.Process:
    return next(each for each in descendants(up.process.pid) if "worker" in each.cmdline())


TABLE: list[tuple[Callable[[Up, str], None], str, str]] = [
    (cancel, "CANCELLED", "KILLED"),
    (kill_the_run, "CRASHED", "KILLED"),
    (kill_the_worker, "CRASHED", "KILLED"),
    (interrupt_up, "CRASHED", "KILLED"),
    (kill_up, "CRASHED", "KILLED"),
]
"""What happens; how the flow run ends; how the training's MLflow run ends."""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "work"
    monkeypatch.setenv("SSTRACK_WORK", str(folder))
    make_dataset(str(folder / "dataset"), tmp_path, clips=6)
    write_sequences(folder / "benchmark", {f"square{number:02d}": 12 for number in range(10)})
    yield folder
    stop_processes(marked(STACK, str(folder)), patience=5.0)


def begin(api: Api, workers: int) -> str:
    """A retrain; the id of its run."""
    given = {"overrides": SMALL, "workers": workers, "gate": GATE}
    done = prefect("deployment", "run", "retrain-tracker", "--params", json.dumps(given), api=api.url)
    assert done.returncode == 0, done.stdout + done.stderr
    newest = api("flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 20})
    return next(one["id"] for one in newest if one["deployment_id"])


def of_ray(work: Path) -> list[psutil.Process]:
    found = []
    for process in marked(STACK, str(work)):
        try:
            words = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        if re.search(r"/raylet\b|/gcs_server\b|^ray::|ray/_private", words):
            found.append(process)
    return found


def state(api: Api, run: str) -> dict[str, Any]:
    return api(f"flow_runs/{run}")["state"]


def subflows(api: Api) -> list[str]:
    return [one["state"]["type"] for one in api("flow_runs/filter", {}) if one["parent_task_run_id"]]


def statuses(client: MlflowClient) -> list[str]:
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return [each.info.status for each in runs]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("happens", "flow", "record"), TABLE, ids=[row[0].__name__ for row in TABLE])
def test_a_retrain_interrupted_in_its_training(
    happens: Callable[[Up, str], None], flow: str, record: str, workers: int, work: Path
) -> None:
    up = start_up(work)
    run = begin(up.api, workers)
    assert eventually(lambda: list(work.glob("runs/*/checkpoints/step_*")), PATIENCE_S), state(up.api, run)
    assert bool(of_ray(work)) == (workers > 0)
    (folder,) = (work / "runs").iterdir()
    happens(up, run)
    at = time.monotonic()
    assert eventually(lambda: not of_ray(work), RAY_GONE_S) or not of_ray(work), of_ray(work)
    gone_s = time.monotonic() - at
    before = len(read_metrics(folder))
    if up.process.poll() is not None:
        up = start_up(work)
    assert eventually(lambda: state(up.api, run)["type"] == flow, PATIENCE_S), state(up.api, run)
    if happens is cancel:
        passed = [one["type"] for one in up.api(f"flow_run_states/?flow_run_id={run}")]
        assert "CRASHED" not in passed, "whoever is told of crashes would be told of this"
    assert eventually(lambda: subflows(up.api) == [flow], HOOKS_S), subflows(up.api)
    client = registry_client(own_store(work))
    assert eventually(lambda: statuses(client) == [record], HOOKS_S), statuses(client)

    again = begin(up.api, workers)
    assert eventually(lambda: state(up.api, again)["type"] in ("COMPLETED", "FAILED"), PATIENCE_S)
    assert state(up.api, again)["type"] == "COMPLETED", state(up.api, again)
    assert re.search("promoted|refused: version 1 ", state(up.api, again)["message"])  # one version, which was judged
    steps = [row["step"] for row in read_metrics(folder)]
    assert [each.name for each in (work / "runs").iterdir()] == [folder.name]
    assert steps == sorted(set(steps)) and steps[-1] == SMALL["optim.steps"] and before < len(steps)
    assert statuses(client) == ["FINISHED"]
    assert not list((work / "runs").rglob("*.tmp"))
    print(f"{happens.__name__}, {workers} workers: {flow}, {record}, Ray gone after {gone_s:.0f} s, then judged")
    end_up(up.process)
    assert up.process.returncode == 0 and not marked(STACK, str(work))
