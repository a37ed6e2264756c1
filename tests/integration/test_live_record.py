"""The MLflow record of a training while it goes on: on a SQLite store, and on a real server that comes and goes."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import SSTrackError
from pipelines.registry.live import LiveRecord
from pipelines.registry.origin import git_tags
from pipelines.registry.runs import TrainingRun, experiment_id, find_runs, registry_client
from pipelines.training.metrics import read_metrics
from pipelines.trainings.record import train_and_record
from tests.dataset_factory import make_dataset
from tests.factories import TINY


def live(uri: str, key: str, every: float = 0.2, files: Callable[[TrainingRun], None] = lambda run: None) -> LiveRecord:
    def opened() -> TrainingRun:
        run = TrainingRun.find_or_create(registry_client(uri), uri, key)
        run.begin()
        return run

    return LiveRecord(uri, opened, files, every)


def steps_of(uri: str, run_id: str, metric: str = "loss") -> list[int]:
    return [each.step for each in registry_client(uri).get_metric_history(run_id, metric)]


def status_of(uri: str, run_id: str) -> str:
    return registry_client(uri).get_run(run_id).info.status


def wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_rows_arrive_while_the_training_goes_on_and_once_however_often_they_are_handed_over(mlflow_uri: str) -> None:
    first = live(mlflow_uri, "key")
    run_id = first.start()
    assert run_id is not None and status_of(mlflow_uri, run_id) == "RUNNING"
    for step in (10, 20, 30):
        first.add({"step": step, "loss": 1 / step})
    wait_for(lambda: steps_of(mlflow_uri, run_id) == [10, 20, 30])
    assert first.finish("KILLED") == run_id and status_of(mlflow_uri, run_id) == "KILLED"
    # Resumed from step 20; step 40 was done by a process that died before it told anybody.
    again = live(mlflow_uri, "key")
    assert again.start() == run_id and status_of(mlflow_uri, run_id) == "RUNNING"
    for step in (30, 50):
        again.add({"step": step, "loss": 1 / step, "accuracy": 0.5})
    rows = [{"step": step, "loss": 1 / step} for step in (10, 20, 30, 40, 50)]
    assert again.finish("FINISHED", {"done": "yes"}, rows) == run_id
    run = registry_client(mlflow_uri).get_run(run_id)
    assert run.info.status == "FINISHED" and run.data.tags["done"] == "yes"
    assert sorted(steps_of(mlflow_uri, run_id)) == [10, 20, 30, 40, 50]
    assert steps_of(mlflow_uri, run_id, "accuracy") == [30, 50]
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0


def test_two_runs_of_one_key_end_a_training_before_it_starts(mlflow_uri: str) -> None:
    client = registry_client(mlflow_uri)
    for _ in range(2):
        client.create_run(experiment_id(client, mlflow_uri), tags={"sstrack.run_key": "key"})
    with pytest.raises(SSTrackError, match="2 runs for key"):
        live(mlflow_uri, "key").start()


@contextmanager
def mlflow_server(store: Path, port: int) -> Iterator[str]:
    """A real server on loopback; it and its children end with the block."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{store}", "--artifacts-destination", str(store.parent / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (store.parent / "server.log").open("ab") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, env=environment)
        uri = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert child.poll() is None, (store.parent / "server.log").read_text()
            try:
                return urllib.request.urlopen(f"{uri}/health", timeout=5).status == 200
            except (urllib.error.URLError, OSError):
                return False

        try:
            wait_for(answers, 240)
            yield uri
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def test_a_server_that_goes_away_and_comes_back_misses_nothing(
    migrated_mlflow: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "mlflow.db"
    store.write_bytes(migrated_mlflow.read_bytes())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "views").mkdir()
    (tmp_path / "views/step_000010.jpg").write_bytes(b"a picture")
    with mlflow_server(store, port) as uri:
        record = live(uri, "key", files=lambda run: run.log_files(str(tmp_path), "views"))
        run_id = record.start(patience=60)
        assert run_id is not None
        record.add({"step": 10, "loss": 3.0})
        wait_for(lambda: steps_of(uri, run_id) == [10])
        assert TrainingRun(registry_client(uri), run_id).url(uri) == f"{uri}/#/experiments/1/runs/{run_id}"
    for step in (20, 30, 40):
        record.add({"step": step, "loss": 2.0})
    wait_for(lambda: "its rows wait, the training goes on" in caplog.text)
    (tmp_path / "views/step_000040.jpg").write_bytes(b"another")
    with mlflow_server(store, port):
        record.add({"step": 50, "loss": 1.0})
        assert record.finish("FINISHED") == run_id
        assert steps_of(uri, run_id) == [10, 20, 30, 40, 50] and status_of(uri, run_id) == "FINISHED"
        kept = registry_client(uri).list_artifacts(run_id, "views")
        assert [info.path for info in kept] == ["views/step_000010.jpg", "views/step_000040.jpg"]
    assert caplog.text.count("its rows wait, the training goes on") == 1


def recorded(work: Path, uri: str, progress: Callable[..., None] = lambda row, steps: None, **how: Any):
    overrides: Mapping[str, Any] = {**TINY, "objective.template_use_every": 0, "checkpoint_every": 1}
    dataset, runs = str(work / "dataset"), str(work / "runs")
    return train_and_record(uri, [dataset], "tiny_cpu", overrides, runs, workers=0, progress=progress, **how)


@pytest.fixture
def dataset(work: Path, mlflow_uri: str, tmp_path: Path) -> str:
    make_dataset(str(work / "dataset"), tmp_path)
    return str(work / "dataset")


def test_the_run_of_a_training_says_what_went_in_and_shows_what_came_out(
    work: Path, mlflow_uri: str, dataset: str
) -> None:
    opened: list[str] = []
    result = recorded(
        work, mlflow_uri, options={"view_every": 1, "profile": "2-2"}, tags={"prefect.flow_run_id": "f"},
        opened=lambda run_id, page: opened.append(run_id),
    )  # fmt: skip
    run = registry_client(mlflow_uri).get_run(result["run_id"])
    assert opened == [result["run_id"]] and run.info.status == "FINISHED"
    tags = run.data.tags
    assert tags["prefect.flow_run_id"] == "f" and tags["sstrack.manifest"] == result["manifest"]
    assert tags["sstrack.version.torch"] and tags["sstrack.python"] == sys.version.split()[0]
    assert len(tags["mlflow.source.git.commit"]) == 40 and tags["sstrack.git_dirty"] in ("true", "false")
    assert run.data.params["optim.steps"] == "3" and run.inputs is not None
    assert [given.dataset.digest for given in run.inputs.dataset_inputs] == [result["manifest"][:36]]
    client = registry_client(mlflow_uri)
    files = [info.path for name in ("views", "profile") for info in client.list_artifacts(result["run_id"], name)]
    assert files == [
        *(f"views/step_00000{step}.jpg" for step in (1, 2, 3)),
        "profile/steps_2-2.trace.json.gz",
        "profile/steps_2-2.txt",
    ]
    again = recorded(work, mlflow_uri)
    assert again["found"] and again["run_id"] == result["run_id"]


def test_a_stopped_training_is_killed_a_broken_one_failed_and_a_rerun_finishes_the_same_run(
    work: Path, mlflow_uri: str, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_run() -> Any:
        client = registry_client(mlflow_uri)
        return find_runs(client, experiment_id(client, mlflow_uri), key)[0]

    def interrupt(row: Mapping[str, float], steps: int) -> None:
        raise KeyboardInterrupt

    class Signal(BaseException):
        """As a scheduler's is: neither an error nor Ctrl-C, and without a word."""

    def cancel(row: Mapping[str, float], steps: int) -> None:
        raise Signal

    def fail(row: Mapping[str, float], steps: int) -> None:
        raise SSTrackError("the disk is full: free some\nmore words")

    with pytest.raises(KeyboardInterrupt):
        recorded(work, mlflow_uri, interrupt)
    key = next((work / "runs").iterdir()).name
    assert only_run().info.status == "KILLED"
    with pytest.raises(Signal):
        recorded(work, mlflow_uri, cancel)
    assert only_run().info.status == "KILLED" and "sstrack.error" not in only_run().data.tags
    with pytest.raises(SSTrackError, match="disk is full"):
        recorded(work, mlflow_uri, fail)
    assert only_run().info.status == "FAILED"
    assert only_run().data.tags["sstrack.error"] == "the disk is full: free some"
    result = recorded(work, mlflow_uri)
    assert only_run().info.status == "FINISHED" and "sstrack.error" not in only_run().data.tags
    assert result["run_id"] == only_run().info.run_id
    steps = [int(row["step"]) for row in read_metrics(work / "runs" / key)]
    assert steps_of(mlflow_uri, result["run_id"]) == steps


def test_a_training_whose_record_is_refused_is_done_and_a_rerun_records_it(
    work: Path, mlflow_uri: str, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:  # bound, and nobody listens
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setattr(LiveRecord.finish, "__defaults__", (None, (), 1.0))
        with pytest.raises(SSTrackError, match="the same command records what is missing"):
            recorded(work, f"http://127.0.0.1:{nobody.getsockname()[1]}")
    result = recorded(work, mlflow_uri)
    assert result["found"] and steps_of(mlflow_uri, result["run_id"]) == [1, 2, 3]


def test_a_package_below_another_projects_repository_names_no_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    installed = tmp_path / "venv/sstrack"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert git_tags(installed) == {} and git_tags(tmp_path / "nowhere") == {}
