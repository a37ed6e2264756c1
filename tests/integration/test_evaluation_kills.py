"""Evaluations that are killed in the middle: the same command again ends with the same bytes."""

import os
import resource
import signal
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from pipelines.cluster import local_cluster
from pipelines.errors import SSTrackError
from pipelines.evaluation.run import EvaluationReport, How, evaluate
from tests import seams
from tests.factories import write_package, write_sequences

FORK = get_context("fork")  # with everything imported: a fresh interpreter takes its time
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
    child = FORK.Process(target=evaluate, args=(str(package), "folder", str(root), str(out)))
    child.start()
    while len(list(out.rglob("scene-*.times.txt"))) < 3:
        assert child.is_alive()
        time.sleep(0.002)
    child.kill()
    child.join()
    (draft,) = out.rglob("content.json")
    (draft.parent / f".scene-0.txt.{child.pid}.tmp").write_text("1,2,3")  # what a kill in the middle of a file leaves
    done = {path.stem for path in out.rglob("scene-?.txt")}
    assert 2 <= len(done) < len(FRAMES)
    seen: list[int] = []
    again = evaluate(str(package), "folder", str(root), str(out), progress=lambda at, *_: seen.append(at))
    assert seen[0] == 1 + sum(FRAMES[name] for name in done)
    assert answers(again) == answers(whole)


def evaluate_with_little_space(tell: Connection, limit: int, model: str, root: str, out: str) -> None:
    """In a child process: no file may grow beyond `limit` bytes, which the kernel refuses as it does on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        evaluate(model, "folder", root, out)
    except SSTrackError as error:
        tell.send(str(error))


def test_a_full_disk_leaves_no_part_of_a_result(package: Path, tmp_path: Path):
    root = write_sequences(tmp_path / "root", {"long": 60}, side=160)
    out = tmp_path / "out"
    hear, tell = FORK.Pipe(duplex=False)
    with hear, tell:
        child = FORK.Process(target=evaluate_with_little_space, args=(tell, 1200, str(package), str(root), str(out)))
        child.start()
        child.join()
        assert hear.poll(), "it said nothing"
        said = hear.recv()
    assert "no space left to write" in said and "long.txt" in said
    assert not list(out.rglob("long.txt")) and not list(out.rglob("*.tmp"))
    assert evaluate(str(package), "folder", str(root), str(out)).sequences == 1


def test_a_killed_worker_costs_its_piece_only(
    root: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(seams.WORTH_A_CLUSTER, 0)
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
