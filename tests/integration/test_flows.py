"""Our flows on a real Prefect server, with real video and a tiny training."""

import asyncio
import base64
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import simplejpeg
from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun, State
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, LogFilter, LogFilterFlowRunId
from prefect.exceptions import ParameterTypeError
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed, Pending

from tests.dataset_factory import make_dataset
from tests.factories import TINY, write_package, write_sequences
from tests.layouts import LAYOUTS

pytestmark = pytest.mark.usefixtures("prefect_server")


def artifacts(key: str) -> list[Any]:
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    async def read() -> list[Any]:
        async with get_client() as client:
            return await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))

    return asyncio.run(read())


def run(flow: Any, *args: Any, **kwargs: Any) -> State[Any]:
    state = flow(*args, **kwargs, return_state=True)
    assert isinstance(state, State)
    return state


def test_sequences_of_benchmarks_come_in_by_a_parameter_alone(work: Path, shared: Path):
    from flows.ingest_videos import ingest_videos
    from pipelines.ingest.config import IngestConfig

    sources, config = [str(shared / "data/sequences/otb/Skiing")], IngestConfig(long_side=160)
    refused = run(ingest_videos, sources, str(work / "dataset"), config, workers=0)
    assert refused.is_failed() and "benchmark otb100" in str(refused.message)
    taken = run(ingest_videos, sources, str(work / "dataset"), config, workers=0, allow_benchmarks=True)
    assert taken.is_completed() and "1 clips" in str(taken.message)


def test_an_empty_or_missing_inbox_completes_with_nothing_new(work: Path):
    from flows.ingest_videos import ingest_videos

    missing = run(ingest_videos)
    (work / "inbox").mkdir(parents=True)
    (work / "inbox" / "notes.txt").write_text("no video")
    for state in (missing, run(ingest_videos)):
        assert state.is_completed()
        assert "nothing new" in (state.message or "")
    assert not (work / "dataset").exists()


def test_relative_paths_and_unknown_fields_are_refused(work: Path):
    from flows.evaluate_tracker import evaluate_tracker
    from flows.ingest_videos import ingest_videos

    cases: tuple[tuple[Any, dict[str, Any]], ...] = (
        (ingest_videos, {"sources": ["videos"]}),
        (ingest_videos, {"dataset": "dataset"}),
        (ingest_videos, {"workers": -1}),
        (evaluate_tracker, {"root": "held-out"}),
    )
    for flow, parameters in cases:
        with pytest.raises(ParameterTypeError, match=r"relative path|greater than or equal"):
            flow(**parameters)


def test_a_retrain_without_a_dataset_completes_with_nothing_new(work: Path):
    from flows.retrain_tracker import retrain_tracker

    state = run(retrain_tracker)
    assert state.is_completed()
    assert "nothing new" in (state.message or "")


def test_a_retrain_without_a_benchmark_fails_before_it_trains(real_dataset: Path, work: Path, tmp_path: Path):
    from flows.retrain_tracker import retrain_tracker

    missing = run(retrain_tracker, dataset=str(real_dataset), overrides=TINY, root=str(tmp_path / "nowhere"), workers=0)
    assert missing.is_failed() and "no folder" in (missing.message or "")
    vot = run(retrain_tracker, dataset=str(real_dataset), overrides=TINY, benchmark="vot2018", root=str(tmp_path))
    assert vot.is_failed() and "vot2018" in (vot.message or "")
    assert not (work / "runs").exists()


def test_several_benchmarks_are_one_task_each(work: Path, tmp_path: Path, shared: Path):
    from flows.evaluate_tracker import evaluate_tracker

    package = write_package(tmp_path / "package")
    folder = write_sequences(tmp_path / "root", {"one": 4, "two": 4})
    LAYOUTS["lasot"](tmp_path / "lasot", shared)
    roots = {"folder": str(folder), "lasot": str(tmp_path / "lasot")}
    done = run(evaluate_tracker, model=str(package), benchmarks=roots, workers=0)
    assert done.is_completed(), done.message
    reports = done.result()
    assert isinstance(reports, dict)
    assert {name: report["sequences"] for name, report in reports.items()} == {"folder": 2, "lasot": 1}
    assert any("2 of 2 sequences" in (each.description or "") for each in artifacts("evaluation-progress"))
    (page,) = (work / "reports").glob("evaluation-*/report.html")
    assert any(str(page) in str(each.data) for each in artifacts("eval-report"))
    (shown,) = [each.data for each in artifacts("eval-report") if str(page) in each.data]
    assert shown.count("](data:image/png;base64,") == 2 and "](data:image/jpeg;base64," in shown
    assert "lasot, rule official" in page.read_text() and "folder, rule got10k-like" in page.read_text()
    (folder / "one" / "0002.png").write_bytes(b"no picture")
    fresh = tmp_path / "fresh"
    failed = run(evaluate_tracker, model=str(package), benchmarks=roots, workers=0, results=str(fresh))
    assert failed.is_failed() and "0002.png" in (failed.message or "")
    assert list(fresh.glob("*/lasot@*/**/*.txt")), "the other benchmark was not measured"


def test_the_whole_way_and_again_does_nothing_twice(
    real_dataset: Path, work: Path, mlflow_uri: str, tmp_path: Path, shared: Path
):
    """Ingest was done by the fixture; here training, evaluation, registry, gate and alias run as flows."""
    from flows.retrain_tracker import retrain_tracker
    from pipelines.registry.runs import registry_client
    from pipelines.registry.versions import versions
    from sstrack.gates import GateConfig

    root = write_sequences(tmp_path / "root", {"one": 4, "two": 4})
    how: dict[str, Any] = {
        "dataset": str(real_dataset),
        "overrides": TINY,
        "root": str(root),
        "workers": 0,
        "gate": GateConfig(min_ao=100),
    }
    first = run(retrain_tracker, **how)
    assert first.is_completed(), first.message
    data = first.result()
    assert isinstance(data, dict)
    assert not data["training"]["found"]
    assert data["training"]["steps"] == 3
    assert "refused" in (first.message or "")
    assert data["decision"]["champion"] is None
    again = run(retrain_tracker, **how).result()
    assert isinstance(again, dict)
    assert again["training"]["found"]
    assert all(again["evaluation"][name]["found"] for name in ("trained", "untrained"))
    assert Path(again["report"]).is_file()
    assert again["decision"]["version"] == data["decision"]["version"] == "1"
    assert len(versions(mlflow_uri, "sstrack")) == 1
    assert artifacts("promotion-decision")
    plans = [each.data for each in artifacts("retrain-plan")]
    assert any("trained from its start, 3 steps" in plan and "2 sequences" in plan for plan in plans)
    assert any("is trained already" in plan for plan in plans)
    boards = [json.loads(each.data) for each in artifacts("eval-leaderboard")]
    sure = [all(re.fullmatch(r"[\d.]+ to [\d.]+", row["95 % of first"]) for row in board) for board in boards]
    assert any(known and len(board) == 3 for board, known in zip(boards, sure, strict=True))
    LAYOUTS["lasot"](tmp_path / "lasot", shared)
    several = {"folder": str(root), "lasot": str(tmp_path / "lasot")}
    both = run(retrain_tracker, **{**how, "root": None, "benchmarks": several}).result()
    assert isinstance(both, dict)
    assert both["training"]["found"]
    for who in ("trained", "untrained", "static"):
        assert set(both["evaluation"][who]) == {"folder", "lasot"}
    for name in ("folder@1", "lasot@1"):
        assert any(name in reason for reason in both["decision"]["reasons"]), both["decision"]["reasons"]
    run_id = data["training"]["run_id"]
    kept = {each.path for each in registry_client(mlflow_uri).list_artifacts(run_id, "reports")}
    judges = ("folder-got10k-like", "lasot-official")
    shown = {f"reports/{judge}-{name}" for judge in judges for name in ("success.png", "worst.jpg")}
    assert kept == {"reports/report.html", *shown}
    card = registry_client(mlflow_uri).get_model_version("sstrack", "1").description or ""
    for path in shown:
        assert f"get-artifact?path={path.replace('/', '%2F')}&run_uuid={run_id}" in card, card
    assert registry_client(mlflow_uri).get_run(run_id).data.tags["prefect.flow_run_id"]
    assert any(run_id in str(each.data) for each in artifacts("mlflow-run"))
    shown = [
        each for each in artifacts("train-progress") if re.search(r"3 of 3 steps.*, loss \d", each.description or "")
    ]
    assert [float(each.data) for each in shown] == [100]  # none from the run that was found


def test_the_record_of_a_run_that_was_killed_says_so_and_a_rerun_takes_it_up(
    drawn_dataset: str, work: Path, mlflow_uri: str, tmp_path: Path
):
    from flows.hooks import end_record
    from flows.retrain_tracker import retrain_tracker
    from flows.train_tracker import train_tracker
    from pipelines.registry.runs import experiment_id, registry_client

    client = registry_client(mlflow_uri)

    def statuses() -> list[str]:
        return [one.info.status for one in client.search_runs([experiment_id(client, mlflow_uri)])]

    def runs_of(flow: str) -> list[FlowRun]:
        with get_client(sync_client=True) as prefect:
            runs = prefect.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])))
        return [one for one in runs if one.parameters.get("dataset") == drawn_dataset]

    root = write_sequences(tmp_path / "root", {"one": 4})
    given = {"dataset": drawn_dataset, "overrides": {**TINY, "optim.steps": 4}, "workers": 0}
    script = (
        "import time\nfrom pipelines.training import launch\n"
        "launch._train_here = lambda *_: time.sleep(600)\n"
        f"from flows.retrain_tracker import retrain_tracker\nretrain_tracker(**{given!r}, root={str(root)!r})\n"
    )
    environment = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()}
    child = subprocess.Popen([sys.executable, "-c", script], env=environment, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while statuses() != ["RUNNING"]:
            assert child.poll() is None and time.monotonic() < until
            time.sleep(0.5)
        time.sleep(1)  # the flow run is labelled right after
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    (killed,) = runs_of("retrain-tracker")
    for hook in retrain_tracker.on_crashed_hooks:  # by keyword, as a worker calls them
        hook(flow=retrain_tracker, flow_run=killed, state=Crashed())
    assert statuses() == ["KILLED"]
    assert [one.state_name for one in runs_of("train-tracker")] == ["Crashed"]
    done = run(train_tracker, **given)
    assert done.is_completed(), done.message
    assert statuses() == ["FINISHED"]
    end_record(None, killed, Crashed())  # too late to change anything
    assert statuses() == ["FINISHED"]


def test_a_run_that_never_began_is_an_alarm_and_is_settled(work: Path, mlflow_uri: str):
    from flows.health import health, stuck_runs
    from flows.stale_runs import settle_stale_runs

    with get_client(sync_client=True) as client:
        waiting = client.create_flow_run(health, state=Pending())
        found = dict(stuck_runs.fn(0.0))
        later = dict(stuck_runs.fn(1.0))
        settle_stale_runs(PREFECT_API_URL.value(), mlflow_uri, "a test")
        state = client.read_flow_run(waiting.id).state
    assert "has not begun for" in found[waiting.name] and waiting.name not in later
    assert state is not None and state.is_crashed()


def test_health_and_prune_tell_and_change_nothing(work: Path, mlflow_uri: str):
    from flows.health import health
    from flows.prune import prune

    make_dataset(str(work / "dataset"), work / "films", clips=2)
    left = work / "dataset" / "shards" / "left.tar"
    left.write_bytes(b"of a killed run")
    os.utime(left, (0, 0))
    assert run(prune).message == "1 files, 0.0 MiB, 0 manifests would go" and left.exists()
    assert (run(prune, dry_run=False).message or "").endswith("removed") and not left.exists()
    done = run(health)
    assert done.is_completed(), done.message
    (shown,) = artifacts("health")
    assert shown.data.startswith("# Health\n\nNo alarm.") and "6 clips of 0 sources" in shown.data


def test_lines_of_a_subflow_are_on_its_parents_page_too():
    from prefect import flow, task

    from flows.logs import show_our_logs
    from flows.progress import ProgressLines

    ours = logging.getLogger("pipelines.somewhere")

    @task
    def work() -> None:
        ours.info("workers have started")
        lines = ProgressLines("train", "steps", every=0)
        for step in range(1, 9):
            lines.update(step, 8)

    @flow
    def part() -> None:
        show_our_logs()
        work()

    @flow(name="whole-of-parts")
    def whole() -> None:
        show_our_logs()
        ours.info("a plan")
        part()

    assert run(whole).is_completed()
    with get_client(sync_client=True) as client:
        (parent,) = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=["whole-of-parts"])))
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[parent.id]))
        until = time.monotonic() + 60
        said: list[str] = []
        while not any("steps" in line for line in said) and time.monotonic() < until:
            said = [
                each.message for each in client.read_logs(log_filter=wanted) if each.name.split(".")[0] != "prefect"
            ]
            time.sleep(0.5)
    assert [line for line in said if "steps" not in line] == ["a plan", "workers have started"]
    assert [line.split(",")[0] for line in said if "steps" in line] == ["train: 1 of 8 steps"]  # one a minute


def test_progress_of_a_training_belongs_to_its_task_whatever_thread_it_comes_in():
    from prefect import flow, task

    from flows.training_progress import in_task

    @task
    def train() -> None:
        show = in_task(every=0)
        for step in (1, 2):
            thread = Thread(target=show, args=({"step": step, "loss": 1.0}, 2))
            thread.start()
            thread.join()

    @flow
    def whole() -> None:
        train()

    assert run(whole).is_completed()
    (made,) = [each for each in artifacts("train-progress") if "2 of 2 steps" in each.description]
    assert made.data == 100 and "loss 1.00" in made.description and made.task_run_id


def test_videos_of_the_inbox_are_published_with_an_event_and_a_report(
    work: Path, real_videos: Path, monkeypatch: pytest.MonkeyPatch
):
    from flows import events, ingest_videos

    emitted: list[tuple[str, str, int]] = []
    monkeypatch.setattr(events, "dataset_published", lambda *args: emitted.append(args))
    (work / "inbox").mkdir(parents=True)
    (work / "inbox" / "street.mp4").symlink_to(real_videos / "street_426x240.mp4")
    state = run(ingest_videos.ingest_videos, workers=1)
    assert state.is_completed(), state.message
    report = state.result()
    assert isinstance(report, dict)
    assert report["published"]
    assert emitted == [(str(work / "dataset"), report["manifest"], report["clips"])]
    [shown] = [each.data for each in artifacts("ingest-report") if report["manifest"] in each.data]
    page = work / "reports" / f"ingest-{report['manifest'][:16]}.html"
    counts = f"| 1 | 1 | {report['clips']} | {report['clips']} |"
    for part in (counts, "| stage | dropped because |", "| sharpness | `", "](data:image/jpeg;base64,", str(page)):
        assert part in shown
    picture = base64.b64decode(shown.partition("base64,")[2].partition(")")[0])
    assert len(picture) < 300_000
    assert simplejpeg.decode_jpeg(picture).std() > 20
    assert "data:image/png;base64," in page.read_text()
    assert "nothing new" in (run(ingest_videos.ingest_videos, workers=1).message or "")
    assert len(emitted) == 1
    monkeypatch.setattr(ingest_videos.artifacts, "ingest_report", lambda *_: 1 / 0)
    assert run(ingest_videos.ingest_videos, dataset=str(work / "other"), workers=1).is_failed()
    assert len(emitted) == 2  # the data is there for all that, and the next run would find nothing new
