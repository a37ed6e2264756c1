"""Ingest survives what goes wrong around it: killed processes, full disks, missing permission, a second ingest."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import SSTrackError
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from pipelines.locks import work_lock

NAMES = ("action.avi", "big_buck_bunny.mpg", "big_buck_bunny.wmv")
SMALL = IngestConfig(long_side=160, min_frames=10, max_frames=25, shard_mib=0.4)

RUN = """
import resource, sys
from pipelines.errors import SSTrackError
from pipelines.ingest.run import ingest
from tests.integration.test_ingest_faults import SMALL

if __name__ == "__main__":
    out, workers, largest, *sources = sys.argv[1:]
    if int(largest):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), int(largest)))
    try:
        ingest(sources, out, SMALL, workers=int(workers), progress=lambda step: print("done", step.done, flush=True))
    except SSTrackError as error:
        sys.exit(f"refused: {error}")
"""


@pytest.fixture(scope="module")
def sources(real_videos: Path) -> list[str]:
    return [str(real_videos / name) for name in NAMES]


@pytest.fixture(scope="module")
def undisturbed(sources: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """All files of a dataset that nothing disturbed."""
    out = tmp_path_factory.mktemp("undisturbed") / "dataset"
    report = ingest(sources, str(out), SMALL)
    assert report.shards >= 2
    return files(out)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def start(script: Path, out: Path, workers: int, largest: int, sources: list[str]) -> subprocess.Popen[bytes]:
    script.write_text(RUN)
    command = [sys.executable, str(script), str(out), str(workers), str(largest), *sources]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_killed_halfway_goes_on_to_the_same_bytes(
    workers: int, sources: list[str], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "dataset"
    with start(tmp_path / "run.py", out, workers, 0, sources) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done 1\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (out / "HEAD").exists()
    kept = list((out / "_state" / "packs").iterdir())
    assert kept
    ingest(sources, str(out), SMALL)
    assert files(out) == undisturbed


def test_the_order_of_sources_and_workers_do_not_change_a_byte(
    sources: list[str], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    ingest(sources[::-1], str(tmp_path / "dataset"), SMALL, workers=2)
    assert files(tmp_path / "dataset") == undisturbed


@pytest.mark.parametrize("largest", [20_000, 300_000])
def test_a_disk_without_space_is_one_clear_error_and_a_rerun_goes_on(
    largest: int, sources: list[str], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "dataset"
    with start(tmp_path / "run.py", out, 1, largest, sources) as process:
        _, errors = process.communicate()
    assert process.returncode == 1
    assert b"refused: no space left" in errors
    assert b"free some space and run the same command again" in errors
    assert not (out / "HEAD").exists()
    assert all(path.stat().st_size <= largest for path in out.rglob("*"))
    assert not any((out / "_state" / "tmp").glob("*"))
    ingest(sources, str(out), SMALL)
    assert files(out) == undisturbed


def test_a_place_that_cannot_be_written_is_one_clear_error(sources: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SSTrackError, match="a file stands where a folder is needed"):
        ingest(sources, str(tmp_path / "file" / "dataset"), SMALL)
    with pytest.raises(SSTrackError, match=r"cannot|permission"):
        ingest(sources, "/proc/sstrack-dataset", SMALL)


def test_a_second_ingest_into_the_same_dataset_is_refused_at_once(sources: list[str], tmp_path: Path) -> None:
    with (
        work_lock(tmp_path / "dataset", "ingest"),
        pytest.raises(SSTrackError, match=rf"another sstrack ingest \(pid {os.getpid()}\)"),
    ):
        ingest(sources, str(tmp_path / "dataset"), SMALL)
