"""Training as a job of a real Ray head: one job per run key, attached to, stopped, taken up again."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled

from flows.hooks import stop_submitted_job
from pipelines.dataset.commit import Tables, publish_child, read_tables
from pipelines.errors import SSTrackError, UsageError
from pipelines.jobs import JobServer, Unreachable
from pipelines.training.launch import train
from pipelines.training.options import TrainOptions
from pipelines.training.spec import run_key
from pipelines.trainings.find import open_datasets
from pipelines.trainings.record import train_and_record
from pipelines.trainings.submit import stop_job, train_as_job
from sstrack.recipes import recipe
from tests import seams
from tests.dataset_factory import make_dataset
from tests.ray_head import RayHead, ray_head

SMALL = {
    "net.width": 48,
    "net.depth": 1,
    "data.group_size": 2,
    "optim.steps": 40,
    "optim.warmup": 5,
    "checkpoint_every": 5,
}


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    with ray_head(cpus=1) as running:
        yield running


@pytest.fixture(scope="module")
def server(head: RayHead) -> JobServer:
    return JobServer(head.jobs)


def until(condition: Callable[[], Any], seconds: float = 500.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.mark.timeout(1500)  # two trainings as jobs, where all of the machine may be busy
@pytest.mark.soak
def test_a_stopped_job_frees_the_cluster_and_the_next_one_goes_on_for_two_callers(
    head: RayHead,
    server: JobServer,
    real_dataset: Path,
    mlflow_uri: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = run_key(recipe("tiny_cpu", SMALL), open_datasets([str(real_dataset)]))
    runs = tmp_path / "runs"
    sstrack = str(Path(sys.executable).with_name("sstrack"))
    command = [sstrack, "train", str(real_dataset), "--out", str(runs), "--workers", "1"]
    command += [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    child = subprocess.Popen(
        [*command, "--cluster", f"job:{head.jobs}"], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        until(lambda: list(runs.glob(f"{key}/checkpoints/step_*/meta.json")) or child.poll() is not None)
    finally:
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=300)
    assert child.returncode == 130, stderr
    assert f"submitted job {key} to" in stderr and "the same command goes on from there" in stderr
    first = server.newest(key)
    assert first is not None and (first.number, first.status) == (1, "STOPPED")
    assert not (runs / key / "result.json").exists()

    caplog.set_level(logging.INFO)
    steps: list[int] = []
    results: list[dict[str, Any]] = []

    def train() -> None:
        how = {"workers": 1, "cluster": f"job:{head.jobs}"}
        results.append(
            train_and_record(
                mlflow_uri, [str(real_dataset)], "tiny_cpu", SMALL, str(runs),
                progress=lambda row, total: steps.append(int(row["step"])), **how,
            )
        )  # fmt: skip

    other = threading.Thread(target=train)
    other.start()
    until(lambda: (newest := server.newest(key)) and newest.number == 2 and newest.status == "RUNNING")
    train()
    other.join()
    assert f"submitted job {key}-try2 to" in caplog.text and f"attached to job {key}-try2 at" in caplog.text
    second = server.newest(key)
    assert second is not None and (second.number, second.status) == (2, "SUCCEEDED")
    # All of the cluster was free again, else the second job's worker would wait; it went on from a checkpoint.
    assert results[0] == results[1] and not results[0]["found"] and results[0]["run_key"] == key
    assert max(steps) == SMALL["optim.steps"]
    train()
    assert results[2] == {**results[0], "found": True}
    assert server.newest(key) == second


def test_a_job_that_fails_is_told_with_its_last_line_and_its_id_is_not_used_again(server: JobServer) -> None:
    lines: list[str] = []
    command = [sys.executable, "-c", "print('one\\ntwo'); raise SystemExit('no luck: \\u00e4')"]
    failed = server.follow(server.submit("fails", 1, command), lines.append, 60)
    assert (failed.id, failed.status) == ("fails", "FAILED")
    assert lines[-3:] == ["one", "two", "no luck: ä"]
    assert server.submit("fails", 1, command) == server.newest("fails") == failed
    again = server.submit("fails", 2, [sys.executable, "-c", "print('better', end='')"])
    assert server.follow(again, lines.append, 60).status == "SUCCEEDED" and lines[-1] == "better"
    newest = server.newest("fails")
    assert newest is not None and (newest.id, newest.number) == ("fails-try2", 2)
    assert server.newest("fail") is None


def flow_runs(name: str) -> list[FlowRun]:
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[name])))


@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("prefect_server")
def test_a_killed_flow_runs_job_is_stopped_although_the_dataset_has_grown_meanwhile(
    server: JobServer, head: RayHead, work: Path, mlflow_uri: str, tmp_path: Path
) -> None:
    from flows.retrain_tracker import retrain_tracker
    from flows.train_tracker import train_tracker

    first = make_dataset(str(work / "dataset"), tmp_path, clips=6)
    key = run_key(recipe("tiny_cpu", SMALL), open_datasets([str(work / "dataset")]))
    given = {"overrides": SMALL, "cluster": f"job:{head.jobs}"}
    script = f"from flows.train_tracker import train_tracker\ntrain_tracker(**{given!r})\n"
    environment = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()}
    child = subprocess.Popen([sys.executable, "-c", script], env=environment, start_new_session=True)
    try:
        until(lambda: ((newest := server.newest(key)) and newest.status == "RUNNING") or child.poll() is not None)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    # HEAD moves: the same parameters name another training now.
    tables = read_tables(str(work / "dataset"), first)
    fewer = Tables(tables.clips.slice(1), tables.rejects, tables.sources)
    publish_child(str(work / "dataset"), first, fewer, first.shards, {}, "config", {})
    assert key != run_key(recipe("tiny_cpu", SMALL), open_datasets([str(work / "dataset")]))
    [killed] = [each for each in flow_runs("train-tracker") if each.parameters.get("cluster") == given["cluster"]]
    for hook in train_tracker.on_cancellation_hooks:  # by keyword, as a worker calls them
        hook(flow=train_tracker, flow_run=killed, state=Cancelled())
    assert set(train_tracker.on_cancellation_hooks) <= set(retrain_tracker.on_cancellation_hooks)
    until(lambda: (newest := server.newest(key)) and newest.status == "STOPPED")
    stop_submitted_job(None, killed, Cancelled())  # once more is no error


@pytest.mark.usefixtures("prefect_server")
def test_a_cancelled_flow_run_that_had_submitted_nothing_stops_nothing(work: Path) -> None:
    from flows.retrain_tracker import retrain_tracker

    assert retrain_tracker(return_state=True).is_completed()
    stop_submitted_job(None, flow_runs("retrain-tracker")[0], Cancelled())


def test_a_job_that_waits_for_a_processor_for_ever_is_stopped_and_says_what_there_is(
    head: RayHead, server: JobServer
) -> None:
    server._client.submit_job(entrypoint="true", submission_id="waits", entrypoint_num_cpus=64)
    with pytest.raises(SSTrackError, match=r"job waits had not started after 1 s.*1 CPUs and 0 GPUs on 1 machines"):
        server.follow(server.look("waits", 1), lambda _: None, 1)
    assert stop_job(head.jobs, "waits") == "waits"
    assert stop_job(head.jobs, "another") is None


def test_a_cluster_that_is_too_small_is_told_with_what_it_has(server: JobServer) -> None:
    script = "from pipelines.cluster import joined, processors\nwith joined('auto', 1): processors(3, None, 1)"
    lines: list[str] = []
    assert server.follow(server.submit("small", 1, [sys.executable, "-c", script]), lines.append, 60).status == "FAILED"
    assert "3 workers need a CPU each, and the cluster has 1 after 1 s (1 CPUs, 0 GPUs in all)" in lines[-1]


def test_an_error_of_ours_there_is_the_same_error_here(
    head: RayHead, server: JobServer, work: Path, tmp_path: Path
) -> None:
    call = {"uri": "sqlite:///none", "datasets": [str(tmp_path)], "recipe": "tiny_cpu", "overrides": {"no.such": 1}}
    call |= {"runs": str(tmp_path), "manifest": None, "workers": 1}
    with pytest.raises(UsageError, match=rf"no\.such.*\(job wrong at {head.jobs}\)"):
        train_as_job(f"job:{head.jobs}", "wrong", call, {"dataset": str(tmp_path)}, lambda *_: None)


def test_nobody_at_the_address_is_one_sentence() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(Unreachable, match=rf"no Ray job server answers at {address}: check the address"):
            JobServer(address)


@pytest.mark.soak
def test_a_head_that_wants_a_token_is_told_with_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("correct-horse-battery-staple-0123456789abcdef")
    with ray_head(environment={"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}) as guarded:
        script = (
            "import sys; from pipelines.jobs import JobServer; from pipelines.errors import SSTrackError\n"
            f"try: print(JobServer({guarded.jobs!r}).what_is_there())\n"
            "except SSTrackError as error: sys.exit(str(error))"
        )

        def ask(**environment: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", script], env={**os.environ, **environment}, capture_output=True, text=True
            )

        assert "refuses this machine's token: set RAY_AUTH_MODE=token" in ask().stderr
        assert ask(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token)).stdout.startswith("2 CPUs")
        other = tmp_path / "other"
        other.write_text("another-token-0123456789abcdef")
        joins = f"from pipelines.cluster import joined\nwith joined({guarded.address!r}, 1): pass"
        for given in ({}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(other)}):
            joined = subprocess.run(
                [sys.executable, "-c", joins], env={**os.environ, **given}, capture_output=True, text=True
            )
            assert "refuses this machine's token" in joined.stderr, joined.stderr
        assert "refuses this machine's token" in ask(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(other)).stderr


@pytest.mark.soak
def test_a_head_lost_in_mid_job_is_one_sentence_and_a_new_head_goes_on(
    real_dataset: Path, mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seams.JOB_SILENCE, 5.0)
    key = run_key(recipe("tiny_cpu", SMALL), open_datasets([str(real_dataset)]))

    def train(jobs: str) -> dict[str, Any]:
        return train_and_record(
            mlflow_uri, [str(real_dataset)], "tiny_cpu", SMALL, str(tmp_path), workers=1,
            cluster=f"job:{jobs}", progress=lambda *_: None,
        )  # fmt: skip

    with ray_head() as lost:

        def lose() -> None:
            until(lambda: list(tmp_path.glob(f"{key}/checkpoints/step_*/meta.json")))
            lost.kill()

        killer = threading.Thread(target=lose)
        killer.start()
        with pytest.raises(SSTrackError, match=r"has not answered for 5 s while job .* Run the same command again"):
            train(lost.jobs)
        killer.join()
    with ray_head() as fresh:
        assert train(fresh.jobs)["steps"] == SMALL["optim.steps"]


@pytest.mark.soak
def test_workers_that_never_start_end_the_training(
    head: RayHead, drawn_dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", head.address)  # put back afterwards: joining sets it
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "5")
    monkeypatch.setattr(seams.RAY_PROCESSORS, lambda *_: False)  # it has one, two are wanted
    two = recipe("tiny_cpu", {**SMALL, "data.groups": 2})
    how = TrainOptions(max_failures=1)
    with pytest.raises(SSTrackError, match="failed"):
        train(open_datasets([drawn_dataset]), two, str(tmp_path), workers=2, options=how, cluster=head.address)
