"""A week in minutes, on a real server, worker and registry: what the journal, the registry and the pages tell of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.automations import set_up_automations
from flows.stack_note import STACK
from pipelines.demo_inputs import DemoInputs, prepare
from pipelines.processes import marked, stop_processes
from pipelines.registry.journal import Entry
from pipelines.registry.promotion import journal_of
from pipelines.registry.versions import versions
from pipelines.settings import own_store
from tests.stack import Api, Up, end_up, eventually, prefect, start_up

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

PATIENCE_S = 900
SILENT_S = 130
"""Two heartbeats and a little: a machine as busy as this one is late with them."""
LATER = ("people_768f.mp4", "nasa_13013.mp4")
"""Real videos of the days after Monday, which brings what the demo learns from."""
INGEST = {"long_side": 320, "max_frames": 60}
RETRAIN = {"overrides": {"checkpoint_every": 40}, "workers": 0}


@pytest.fixture
def inputs(tmp_path: Path) -> DemoInputs:
    return prepare(tmp_path / "inputs", rendered_videos=True, workers=2)


@pytest.fixture
def up(inputs: DemoInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Up]:
    work = tmp_path / "work"
    monkeypatch.setenv("SSTRACK_WORK", str(work))
    monkeypatch.setenv("SSTRACK_BENCHMARK_ROOT", str(inputs.eval_root))
    running = start_up(work)
    yield running
    end_up(running.process)
    stop_processes(marked(STACK, str(work)), patience=5.0)


class Week:
    """What happens in it."""

    def __init__(self, up: Up) -> None:
        self.api: Api = up.api
        self.work = up.work
        self.deployment = next(
            one["id"] for one in self.api("deployments/filter", {}) if one["name"] == "retrain-tracker"
        )
        self.api.patch(f"deployments/{self.deployment}", {"parameters": RETRAIN})
        self.seen: set[str] = set()

    def ingest(self, *videos: Path | str) -> str:
        """A run of `ingest-videos` on these; its message."""
        given = {
            "sources": [str(each) for each in videos],
            "config": INGEST,
            "workers": 1,
        }
        done = prefect("deployment", "run", "ingest-videos", "--watch", "--params", json.dumps(given), api=self.api.url)
        assert done.returncode == 0, done.stdout + done.stderr
        runs = [one for one in self.runs() if one["name"] and "ingest" in one["message"]]
        return runs[0]["message"] if runs else done.stdout

    def runs(self, deployment: str | None = None) -> list[dict[str, Any]]:
        """Newest first."""
        found = self.api("flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC"})
        return [
            {**one, "message": one["state"]["message"] or "", "type": one["state"]["type"]}
            for one in found
            if deployment in (None, one["deployment_id"])
        ]

    def next_retrain(self, *ends: str) -> dict[str, Any]:
        """The retrain that began since the last one, when it is in one of the states `ends`."""

        def found() -> dict[str, Any] | None:
            new = [one for one in self.runs(self.deployment) if one["id"] not in self.seen]
            return next((one for one in new if one["type"] in ends), None)

        run = eventually(found, PATIENCE_S)
        assert run is not None, self.runs(self.deployment)
        return run

    def retrained(self) -> str:
        run = self.next_retrain("COMPLETED", "FAILED")
        assert run["type"] == "COMPLETED", run["message"]
        self.seen.add(run["id"])
        return run["message"]

    def checkpoints(self) -> set[Path]:
        return set((self.work / "runs").glob("*/checkpoints/step_*"))

    def start(self, name: str, **parameters: Any) -> None:
        words = ("deployment", "run", name, "--watch", "--params", json.dumps(parameters))
        done = prefect(*words, api=self.api.url)
        assert done.returncode == 0, done.stdout + done.stderr


def test_three_ingests_two_retrains_by_event_a_crash_a_promotion_and_a_rollback(
    up: Up, inputs: DemoInputs, real_videos: Path
):
    week = Week(up)
    set_up_automations(up.api.url, by_event=True, silent_s=SILENT_S, calm_s=10)
    uri = own_store(up.work)

    week.ingest(*inputs.videos)  # Monday
    assert "promoted" in week.retrained()
    week.ingest(real_videos / LATER[0])  # Tuesday
    assert "refused" in week.retrained()

    set_up_automations(up.api.url, by_event=False, silent_s=SILENT_S)
    week.ingest(real_videos / LATER[1])  # Wednesday: this retrain is killed in its middle
    before = week.checkpoints()
    prefect("deployment", "run", "retrain-tracker", api=up.api.url)
    run = week.next_retrain("RUNNING")
    assert eventually(lambda: len(week.checkpoints() - before) >= 2, PATIENCE_S)
    for process in marked(STACK, str(up.work)):
        if any(word.startswith("prefect") and "engine" in word for word in process.cmdline()):
            process.kill()
    assert eventually(lambda: up.api(f"flow_runs/{run['id']}")["state"]["type"] == "CRASHED", 300)
    week.seen.add(run["id"])
    prefect("deployment", "run", "retrain-tracker", api=up.api.url)  # Thursday: it goes on
    assert "refused" in week.retrained()

    week.start("promote-tracker", version="2", reason="looks better on our own clips", override=True)  # Friday
    week.start("rollback-tracker", reason="it loses small targets")  # Saturday
    week.ingest(*inputs.videos, *(real_videos / name for name in LATER))  # Sunday: nothing new
    assert week.runs()[0]["message"].startswith("nothing new")

    story = [(entry.action, entry.version) for entry in entries(uri)]
    assert story == [("promote", "1"), ("refuse", "2"), ("refuse", "3"), ("promote", "2"), ("rollback", "1")]
    there = {one.version: one for one in versions(uri, "sstrack")}
    assert set(there) == {"1", "2", "3"} and there["1"].aliases == ("champion",)
    artifacts = up.api("artifacts/filter", {"sort": "ID_DESC", "limit": 200})
    decisions = [one["description"] for one in artifacts if one["key"] == "promotion-decision"]
    assert len(decisions) == 5
    boards = [json.loads(one["data"]) for one in artifacts if one["key"] == "eval-leaderboard"]
    assert sum("champion models:/sstrack/1" in str(board) for board in boards) == 2  # both retrains after the first


def entries(uri: str) -> list[Entry]:
    return list(journal_of(uri, "sstrack").entries())
