"""Evaluations that are killed in the middle: the same command again ends with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines.cluster import local_cluster
from pipelines.evaluation.run import EvaluationReport, How, evaluate
from tests.factories import write_package, write_sequences

FRAMES = {f"scene-{number}": 12 + number for number in range(8)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sequences(tmp_path / "root", FRAMES)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package")


def answers(report: EvaluationReport) -> dict[str, bytes]:
    """Everything that does not hold times, which no two runs share."""
    folder = Path(report.results)
    kept = [path for path in folder.iterdir() if ".times" not in path.name and not path.name.startswith(".")]
    return {path.name: path.read_bytes() for path in kept}


def test_a_killed_evaluation_goes_on_and_ends_the_same(root: Path, package: Path, tmp_path: Path):
    whole = evaluate(str(package), "folder", str(root), str(tmp_path / "whole"))
    out = tmp_path / "out"
    program = "import sys; from pipelines.evaluation.run import evaluate; evaluate(*sys.argv[1:])"
    child = subprocess.Popen([sys.executable, "-c", program, str(package), "folder", str(root), str(out)])
    deadline = time.monotonic() + 300
    while len(list(out.rglob("scene-*.times.txt"))) < 3:
        assert child.poll() is None and time.monotonic() < deadline, "ended, or never began"
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (draft,) = out.rglob("content.json")
    (draft.parent / f".scene-0.txt.{child.pid}.tmp").write_text("1,2,3")  # what a kill in the middle of a file leaves
    done = {path.stem for path in out.rglob("scene-?.txt")}
    assert 2 <= len(done) < len(FRAMES)
    seen: list[int] = []
    again = evaluate(str(package), "folder", str(root), str(out), progress=lambda at, *_: seen.append(at))
    assert seen[0] == 1 + sum(FRAMES[name] for name in done)
    assert answers(again) == answers(whole)


def test_a_full_disk_leaves_no_part_of_a_result(package: Path, tmp_path: Path):
    root = write_sequences(tmp_path / "root", {"long": 60}, side=160)
    out = tmp_path / "out"
    program = (
        "import resource, sys; from pipelines.evaluation.run import evaluate\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1200, 1200))\n"
        "evaluate(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, str(package), "folder", str(root), str(out)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "SSTrackError: no space left to write" in child.stderr and "long.txt" in child.stderr
    assert not list(out.rglob("long.txt")) and not list(out.rglob("*.tmp"))
    assert evaluate(str(package), "folder", str(root), str(out)).sequences == 1


def test_a_killed_worker_costs_its_piece_only(
    root: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pipelines.evaluation.run.WORK_WORTH_A_CLUSTER", 0)
    whole = evaluate(str(package), "folder", str(root), str(tmp_path / "whole"), How(workers=0))
    killed: list[int] = []

    def kill(done: int, total: int, note: str) -> None:
        workers = [p for p in psutil.Process().children(recursive=True) if p.name().startswith("ray::track_piece")]
        if not killed and workers:
            os.kill(workers[0].pid, signal.SIGKILL)
            killed.append(workers[0].pid)

    with local_cluster(2):
        spread = evaluate(str(package), "folder", str(root), str(tmp_path / "out"), How(workers=2), kill)
    assert killed
    assert answers(spread) == answers(whole)
