"""`sstrack health` and `sstrack plan` on a real ingest of real video and a real MLflow store."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from pipelines.dataset.manifest import load_manifest
from pipelines.health.check import check_health
from pipelines.health.limits import HealthLimits
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from pipelines.registry.promotion import promote
from pipelines.registry.registered_model import ensure_registered
from pipelines.registry.runs import registry_client
from pipelines.training.metrics import MetricsLog
from tests.layouts import LAYOUTS

CUT = IngestConfig(long_side=128, max_frames=20)


def add(dataset: Path, *sources: Path) -> str:
    return ingest([str(each) for each in sources], str(dataset), CUT, workers=1).manifest


def promoted(uri: str, manifest: str, key: str = "tiny_cpu-00000000-00000000") -> None:
    """A champion that was trained on a manifest; it needs no package to be one."""
    client = registry_client(uri)
    ensure_registered(client, "sstrack")
    tags = {"sstrack.package_digest": "0" * 64, "sstrack.verdict": "passed", "sstrack.manifest": manifest}
    client.create_model_version("sstrack", source="/nowhere", tags={**tags, "sstrack.run_key": key})
    promote(uri, "sstrack", "1", expected=None, actor="tests", reason="a test")


def told(*words: str) -> tuple[int, Any]:
    done = CliRunner().invoke(app, [*words, "--json"])
    return done.exit_code, json.loads(done.stdout) if done.stdout.startswith("{") else done.output


def test_health_from_an_empty_folder_to_a_stale_champion(
    mlflow_uri: str, work: Path, tmp_path: Path, real_videos: Path
):
    dataset = work / "dataset"
    code, empty = told("health")
    assert (code, empty["manifest"], empty["champion"], empty["alarms"]) == (0, None, None, [])

    learnt = add(dataset, real_videos / "02_cups.mp4")
    promoted(mlflow_uri, learnt)
    code, well = told("health")
    assert (code, well["unseen"], well["champion"], well["failed"]) == (0, 0, "1", 0)

    broken = tmp_path / "broken.mp4"
    broken.write_bytes((real_videos / "action.avi").read_bytes()[:3000])
    add(dataset, real_videos / "street_426x240.mp4", broken)
    code, behind = told("health", "--set", "failed_share=0.1", "--set", "unseen_share=0.2")
    clips = load_manifest(str(dataset)).totals.clips
    assert 0 < behind["unseen"] < behind["clips"] == clips
    assert behind["failed"] == 1
    assert (code, [alarm["name"] for alarm in behind["alarms"]]) == (1, ["unseen_clips", "failed_sources"])

    later = datetime.now(UTC) + timedelta(days=31)
    stale = check_health(str(dataset), mlflow_uri, "sstrack", HealthLimits(unseen_share=1, failed_share=1), later)
    assert [alarm.name for alarm in stale.alarms] == ["stale_champion"]
    code, said = told("health", "--set", "champion_day=3")
    assert code == 2 and "champion_day" in said


def test_a_plan_says_what_a_retrain_would_do_and_starts_nothing(
    mlflow_uri: str, work: Path, tmp_path: Path, real_videos: Path, shared: Path
):
    LAYOUTS["otb100"](tmp_path / "otb", shared)
    judge = ("--benchmark", "otb100", "--root", str(tmp_path / "otb"), "--set", "optim.steps=40")
    code, nothing = told("plan")
    assert (code, nothing["trains"]) == (0, False)
    assert nothing["decision"].startswith("nothing to do")
    manifest = add(work / "dataset", real_videos / "02_cups.mp4", real_videos / "street_426x240.mp4")
    code, refused = told("plan")
    assert code == 1 and "would be refused: " in refused["problem"]

    code, new = told("plan", *judge)
    assert code == 0, new
    assert new["trains"] and new["cost"] is None and new["manifest"] == manifest
    assert "from its start, 40 steps" in new["decision"]
    assert not (work / "runs").exists()

    log = MetricsLog(str(work / "runs" / new["run_key"]), 0)
    for step in (10, 20):
        log.add(step, {"samples_per_s": 8.0})
    _, begun = told("plan", *judge)
    assert "goes on after step 20 of 40" in begun["decision"]
    assert begun["cost"]["measured"] == new["run_key"]
    assert begun["cost"]["seconds"] == pytest.approx(20 * 16 / 8.0)
    _, other = told("plan", *judge, "--set", "seed=7")
    assert other["run_key"] != new["run_key"]
    assert other["cost"]["seconds"] == pytest.approx(2 * begun["cost"]["seconds"])
    assert told("plan", "--recipe", "tinny")[0] == 2
