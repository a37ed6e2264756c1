"""`sstrack up`, and Prefect's own command line against it: a real server, worker, MLflow, deployments."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest

from flows import events
from flows.automations import set_up_automations, zombies
from flows.schedules import read_schedules, switch_schedules
from flows.stack_note import STACK
from pipelines.errors import SSTrackError
from pipelines.processes import alive, descendants, marked, stop_processes
from tests.conftest import REPO
from tests.stack import QUIET, Api, Up, end_up, eventually, free_port, prefect, start_up

PATIENCE_S = 300
CALM_S = 10
SCHEDULED = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = start_up(tmp_path_factory.mktemp("stack"))
    yield running
    end_up(running.process)
    stop_processes(marked(STACK, str(running.work)), patience=5.0)  # what a test's failure left


@pytest.mark.parametrize(("name", "configured"), [("ingest-videos", True), ("ingest-videos/ingest-videos", False)])
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


def test_flows_ask_the_stacks_mlflow_server_and_leave_its_store_alone(stack):
    """What the worker's processes are told, and that a version made through the server is found without it."""
    process, _, work, mlflow_port = stack
    told = [environment_of(below.pid) for below in descendants(process.pid)]
    worker = next(each for each in told if each.get("SSTRACK_MLFLOW_URI"))
    assert {each.get("SSTRACK_MLFLOW_URI") for each in told} <= {worker["SSTRACK_MLFLOW_URI"], None}
    assert worker["SSTRACK_MLFLOW_URI"] == f"http://127.0.0.1:{mlflow_port}"
    assert worker["SSTRACK_JOURNAL"] == str(work / "journal")
    assert all(QUIET.items() <= each.items() for each in told if each.get("SSTRACK_MLFLOW_URI"))
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.factories import write_package\n"
        "from pipelines.settings import settings\nfrom pipelines.registry.promotion import promote\n"
        "from pipelines.registry.runs import TrainingRun, registry_client\n"
        "from pipelines.registry.versions import register\n"
        "uri = settings().mlflow_uri\nrun = TrainingRun.find_or_create(registry_client(uri), uri, 'key')\n"
        "made = register(uri, 'sstrack', package=write_package(Path(sys.argv[1])), run_id=run.run_id, run_key='key',\n"
        "    manifest='m', scored=[], tags={})\n"
        "promote(uri, 'sstrack', made.version, expected=None, actor='tests', reason='r', override=True)\n"
        "assert 'sqlite' not in uri and not any('mlflow.db' in str(path.resolve()) for path in\n"
        "    Path('/proc/self/fd').iterdir())\n"
        "print(run.url(uri))\n"
    )
    asked = {**os.environ, **{name: worker[name] for name in worker if name.startswith("SSTRACK_")}}
    done = subprocess.run(
        [sys.executable, "-c", script, str(work / "package")], cwd=REPO, env=asked, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(f"http://127.0.0.1:{mlflow_port}/#/experiments/")
    assert (work / "journal" / "sstrack" / "00000001.json").is_file()
    alone = {**os.environ, "SSTRACK_WORK": str(work)}
    found = subprocess.run(
        [str(Path(sys.executable).with_name("sstrack")), "models", "show", "models:/sstrack@champion", "--json"],
        cwd=REPO, env=alone, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["version"] == "1" and json.loads(found.stdout)["warning"] is None


def environment_of(pid: int) -> dict[str, str]:
    pairs = (word.partition("=") for word in Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0"))
    return {name: value for name, _, value in pairs}


def test_unknown_names_are_still_not_found(stack):
    _, api, _, _ = stack
    done = prefect("deployment", "run", "nope", api=api.url)
    assert done.returncode == 1
    assert "nope/nope" in done.stdout + done.stderr


def test_every_command_finds_the_stack_of_the_work_folder(stack):
    _, _, work, _ = stack
    done = prefect("deployment", "ls", api=None, work=work)
    assert done.returncode == 0, done.stderr
    assert "retrain-tracker" in done.stdout


def test_schedules_are_off_until_they_are_switched_on_and_then_create_runs(stack):
    """With other versions of SQLAlchemy or FastAPI than our pins allow, none ever appears."""
    _, api, _, _ = stack
    names = {"ingest-videos", "retrain-tracker", "health"}
    deployments = {one["id"]: one["name"] for one in api("deployments/filter", {})}
    assert names < set(deployments.values())
    assert {"cpu", "gpu"} <= {one["name"] for one in api("work_pools/local/queues/filter", {})}
    assert not api("flow_runs/filter", SCHEDULED)
    switch_schedules(api.url, {("ingest-videos", "hourly"): True})
    assert {one.deployment: one.active for one in read_schedules(api.url)} == {
        "ingest-videos": True,
        "retrain-tracker": False,
        "health": False,
    }
    switch_schedules(api.url, True)
    assert eventually(
        lambda: names == {deployments[one["deployment_id"]] for one in api("flow_runs/filter", SCHEDULED)}
    )
    switch_schedules(api.url, False)


@contextmanager
def receiver() -> Iterator[tuple[str, list[str]]]:
    """A chat's webhook on loopback: its address, and the texts that came in."""
    texts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", texts
        server.shutdown()


def emit(api: Api, event: str, resource: str, name: str = "", **payload: str) -> None:
    now = datetime.now(UTC).isoformat()
    names = {"prefect.resource.id": resource, "prefect.resource.name": name or resource}
    api("events", [{"occurred": now, "event": event, "resource": names, "payload": payload, "id": str(uuid4())}])


def test_new_data_starts_one_retrain_silent_runs_crash_and_notices_are_posted(stack):
    _, api, work, _ = stack
    other = str(work / "another dataset")
    with receiver() as (url, texts):
        assert len(set_up_automations(api.url, url, by_event=True, calm_s=CALM_S)) == 5
        began = time.monotonic()
        flow = api("flows/", {"name": "somebody-elses"})
        zombie = api("flow_runs/", {"flow_id": flow["id"], "state": {"type": "RUNNING"}})["id"]
        # Ours, for this run alone: real ones show a sign of life once a minute.
        watch = zombies(10).model_dump(mode="json")
        watch["trigger"]["match"] = {"prefect.resource.id": f"prefect.flow-run.{zombie}"}
        api("automations/", {**watch, "name": "one zombie"})

        def told() -> object:
            """A busy server lets events pass until it has taken in automations that are new."""
            emit(api, events.HEALTH_ALARM, "sstrack.health.drift", alarm="drift", sentence='"luma" moved')
            return eventually(lambda: texts, 20)

        assert eventually(told, PATIENCE_S)
        assert set(texts) == {'sstrack: drift: "luma" moved'}
        emit(api, "prefect.flow-run.heartbeat", f"prefect.flow-run.{zombie}")
        assert eventually(lambda: api(f"flow_runs/{zombie}")["state"]["type"] == "CRASHED", PATIENCE_S)

        retrain = next(one["id"] for one in api("deployments/filter", {}) if one["name"] == "retrain-tracker")

        def retrains() -> list[dict[str, Any]]:
            return [one for one in api("flow_runs/filter", {}) if one["deployment_id"] == retrain]

        time.sleep(max(0.0, began + 2 * CALM_S + 5 - time.monotonic()))
        assert not retrains(), "nothing was published yet"
        for number in range(2):
            new = {"dataset": other, "manifest": str(number), "clips": "1"}
            emit(api, events.DATASET_PUBLISHED, f"sstrack.dataset.{number}", other, **new)
        assert eventually(lambda: any(one["state"]["type"] == "COMPLETED" for one in retrains()), PATIENCE_S)
        assert [one["parameters"] for one in retrains()] == [{"dataset": other}]
    names = {one["name"] for one in api("automations/filter", {})}
    assert len(set_up_automations(api.url)) == 2
    assert len({one["name"] for one in api("automations/filter", {})}) == len(names) - 3


def test_a_second_stack_and_a_port_in_use_are_refused_in_one_sentence(stack, tmp_path: Path):
    from flows.stack import local_stack

    _, _, work, mlflow_port = stack
    refused = (
        ((tmp_path, free_port(), mlflow_port), rf"port {mlflow_port} is in use.*--mlflow-port"),
        (
            (work, free_port(), free_port()),
            rf"already up in {re.escape(str(work))}: Prefect http://127.0.0.1:\d+, MLflow",
        ),
    )
    for arguments, sentence in refused:
        with pytest.raises(SSTrackError, match=sentence), local_stack(*arguments):
            pass


def running(api: Api) -> list[dict[str, Any]]:
    return api("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}})


def begin_ingest(api: Api, real_videos: Path) -> str:
    """An ingest of all videos, which takes a while, in its middle; the id of its run."""
    done = prefect(
        *("deployment", "run", "ingest-videos", "--params"),
        json.dumps({"sources": [str(real_videos)], "workers": 1}),
        api=api.url,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = eventually(lambda: running(api))
    return run["id"]


def test_ctrl_c_in_a_run_leaves_no_process_and_no_slot_taken(stack: Up, real_videos: Path):
    """The last one here, as it ends the stack, and starts it again in the same folder."""
    process, api, work, _ = stack
    switch_schedules(api.url, {("health", "daily"): True})
    below = descendants(process.pid)
    assert len(below) >= 3
    interrupted = begin_ingest(api, real_videos)
    said = end_up(process, signal.SIGINT)
    assert process.returncode == 0
    assert not [each for each in below if alive(each)]
    assert not marked(STACK, str(work))
    assert "marked as crashed" in said and interrupted in said

    process, api, _, _ = start_up(work)
    state = api(f"flow_runs/{interrupted}")["state"]
    assert (state["type"], "run it again" in state["message"]) == ("CRASHED", True)
    on = [one.deployment for one in read_schedules(api.url) if one.active]
    assert on == ["health"], "a new deploy switched a schedule"
    worker = next(each for each in descendants(process.pid) if "worker" in each.cmdline())
    again = begin_ingest(api, real_videos)  # the slot of the only run that may go on at a time is free
    assert again != interrupted
    worker.kill()
    said = process.communicate(timeout=90)[0]
    assert process.returncode == 1 and "the worker ended on its own" in said
    assert not marked(STACK, str(work)), "what the killed worker had started goes on"
