"""`sstrack up`, and Prefect's own command line against it: a real server, worker, MLflow, deployments."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import SSTrackError
from pipelines.processes import alive, descendants
from tests.conftest import REPO

PREFECT = str(Path(sys.executable).with_name("prefect"))
SSTRACK = str(Path(sys.executable).with_name("sstrack"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(read: Callable[[], Any], seconds: float = 90) -> Any:
    until = time.monotonic() + seconds
    while not (value := read()) and time.monotonic() < until:
        time.sleep(0.5)
    return value


class Api:
    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.url}/{path}", data=json.dumps(body).encode(), headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], Api, Path, int]]:
    """`sstrack up` as a person starts it."""
    work = tmp_path_factory.mktemp("stack")
    ports = free_port(), free_port()
    command = [SSTRACK, "up", "--work", str(work), "--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("Ctrl-C"):
            break
    else:
        pytest.fail("".join(seen))
    yield process, Api(f"http://127.0.0.1:{ports[0]}/api"), work, ports[1]
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    process.stdout.close()


def prefect(*words: str, api: str | None) -> subprocess.CompletedProcess[str]:
    """Typed in the repository's root, with the plugin switched on by pyproject.toml alone."""
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_PLUGINS_ENABLED"}
    if api is not None:
        environment["PREFECT_API_URL"] = api
    return subprocess.run([PREFECT, *words], cwd=REPO, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("name", ["ingest-videos", "ingest-videos/ingest-videos"])
@pytest.mark.parametrize("configured", [True, False])
def test_without_a_server_a_run_fails_in_one_sentence(name: str, configured: bool):
    done = prefect("deployment", "run", name, api=f"http://127.0.0.1:{free_port()}/api" if configured else None)
    if not configured and done.returncode == 0:
        pytest.skip("a Prefect server of somebody else answers at the default address")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "no Prefect server answers at http://127.0.0.1:" in done.stderr


def test_a_one_part_name_runs_the_deployment_and_our_lines_reach_the_api(stack):
    _, api, work, _ = stack
    done = prefect("deployment", "run", "ingest-videos", "--watch", api=api.url)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = api("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
    assert "nothing new" in run["state"]["message"]
    wanted = {"logs": {"flow_run_id": {"any_": [run["id"]]}, "level": {"ge_": 20}}}
    lines = eventually(lambda: [log for log in api("logs/filter", wanted) if log["name"] == "flows.ingest_videos"], 30)
    assert [(line["level"], line["message"]) for line in lines] == [
        (20, f"nothing new: no video in the inbox {work / 'inbox'}")
    ]


def test_unknown_names_are_still_not_found(stack):
    _, api, _, _ = stack
    done = prefect("deployment", "run", "nope", api=api.url)
    assert done.returncode == 1
    assert "nope/nope" in done.stdout + done.stderr


def test_schedules_create_runs(stack):
    """With other versions of SQLAlchemy or FastAPI than our pins allow, none ever appears."""
    _, api, _, _ = stack
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    names = {"ingest-videos", "retrain-tracker"}

    def of_both() -> bool:
        deployments = {one["id"]: one["name"] for one in api("deployments/filter", {})}
        assert set(deployments.values()) == names | {
            "train-tracker",
            "evaluate-tracker",
            "promote-tracker",
            "rollback-tracker",
        }
        return names == {deployments[one["deployment_id"]] for one in api("flow_runs/filter", scheduled)}

    assert eventually(of_both)


def test_a_second_stack_and_a_port_in_use_are_refused_in_one_sentence(stack, tmp_path: Path):
    from flows.stack import local_stack

    _, _, work, mlflow_port = stack
    refused = (
        ((tmp_path, free_port(), mlflow_port), rf"port {mlflow_port} is in use.*--mlflow-port"),
        ((work, free_port(), free_port()), rf"another sstrack up \(pid \d+\) is using {re.escape(str(work))}"),
    )
    for arguments, sentence in refused:
        with pytest.raises(SSTrackError, match=sentence), local_stack(*arguments):
            pass


def test_ctrl_c_leaves_no_process_behind(stack):
    """The last one here, as it ends the stack."""
    process, _, _, _ = stack
    below = descendants(process.pid)
    assert len(below) >= 3
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    assert process.returncode == 0
    assert not [process for process in below if alive(process)]
