"""Exactly once: killed at any point, the same command again gives the same bytes and leaves nothing else behind."""

import random
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from pipelines import storage
from pipelines.dataset.commit import HeadMoved, publish_child, read_tables
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.manifest import load_manifest, read_sources
from pipelines.dataset.verify import verify
from pipelines.errors import SSTrackError
from pipelines.ingest.run import ingest
from sstrack.configs.data import DataConfig
from tests import seams
from tests.kills import SMALL, Kill, start
from tests.s3 import S3Server, moto_s3

NAMES = ("action.avi", "big_buck_bunny.wmv")


MOVE, SWAP = "pipelines.storage:move_if_absent", "pipelines.storage:swap"
BEFORE_HEAD = Kill(SWAP)
AFTER_HEAD = Kill(SWAP, after=True)
AFTER_A_SHARD = Kill(MOVE, ".tar", after=True)
LOCAL = {
    "while a pack is written": Kill("pipelines.ingest.video.part:Spool.store", nth=30),
    "before a pack has its name": Kill(MOVE, ".pack"),
    "while a shard is written": Kill("webdataset.writer:TarWriter.write", nth=2),
    "after a shard": AFTER_A_SHARD,
    "while a table is written": Kill("os:fsync", ".clips.parquet"),
    "between manifest and HEAD": BEFORE_HEAD,
    "after HEAD": AFTER_HEAD,
}
REMOTE = {
    "after a pack": Kill(MOVE, ".pack", after=True),
    "after a shard": AFTER_A_SHARD,
    "between manifest and HEAD": BEFORE_HEAD,
    "after HEAD": AFTER_HEAD,
}


def files(dataset: str) -> Mapping[str, bytes]:
    """Everything below a dataset's folder by relative name."""
    return {uri.removeprefix(dataset): storage.read_bytes(uri) for uri in storage.list_files(dataset)}


@pytest.fixture(scope="module")
def sources(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The first seconds of two real videos."""
    folder = tmp_path_factory.mktemp("videos")
    for name in NAMES:
        words = ("-v", "fatal", "-i", str(real_videos / name), "-t", "2.6", "-c", "copy", str(folder / name))
        subprocess.run([get_ffmpeg_exe(), *words], check=True)
    return [str(folder / name) for name in NAMES]


@pytest.fixture(scope="module")
def undisturbed(sources: list[str], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """All files of a dataset that nothing disturbed."""
    out = str(tmp_path_factory.mktemp("undisturbed") / "dataset")
    assert ingest(sources, out, SMALL).shards >= 2
    return files(out)


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.url("once", uuid.uuid4().hex)


@pytest.mark.parametrize("point", LOCAL)
def test_killed_on_a_disk_and_run_again(
    point: str, sources: list[str], undisturbed: Mapping[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "dataset"
    process = start(LOCAL[point], sources, str(out))
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (out / "HEAD").exists() == (point == "after HEAD")
    assert files(str(out)) != undisturbed
    ingest(sources, str(out), SMALL)
    assert files(str(out)) == undisturbed
    assert {path.name for path in out.iterdir()} == {"HEAD", "manifests", "shards", "tables"}


@pytest.mark.parametrize("point", REMOTE)
def test_killed_on_s3_and_run_again_on_another_machine(
    point: str,
    sources: list[str],
    undisturbed: Mapping[str, bytes],
    bucket: str,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = start(REMOTE[point], sources, bucket)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert storage.exists(storage.join(bucket, "HEAD")) == (point == "after HEAD")
    monkeypatch.setenv("SSTRACK_WORK", str(work.with_name("other machine")))
    if point != "after a pack":  # all packs are there: nothing is decoded again
        monkeypatch.setattr(seams.DECODE, None)
    ingest(sources, bucket, SMALL)
    assert files(bucket) == undisturbed


def test_two_publishers_keep_each_others_clips(
    sources: list[str], bucket: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = storage.swap

    def race(uri: str, expected: bytes | None, data: bytes) -> bool:
        with monkeypatch.context() as other:
            other.setattr(storage, "swap", swap)
            other.setenv("SSTRACK_WORK", str(work.with_name("other machine")))
            if expected is None:
                ingest(sources[1:], bucket, SMALL)
        return swap(uri, expected, data)

    monkeypatch.setattr(storage, "swap", race)
    report = ingest(sources[:1], bucket, SMALL)
    manifest = load_manifest(bucket)
    assert report.manifest == manifest.digest
    assert report.published and report.sources_new == 1
    held = [row["source_uri"] for row in read_sources(bucket, manifest).to_pylist()]
    assert sorted(held) == sorted(sources)
    assert verify(bucket).problems == []


def test_a_child_of_an_old_manifest_is_refused(sources: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "dataset")
    ingest(sources[:1], out, SMALL)
    parent = load_manifest(out)
    tables = read_tables(out, parent)
    ingest(sources[1:], out, SMALL)
    newest = load_manifest(out)
    with pytest.raises(HeadMoved, match=r"another publisher moved .*HEAD.* run the same command again"):
        publish_child(out, parent, tables, parent.shards, {}, "", {})
    assert load_manifest(out) == newest


def test_a_training_on_the_parent_is_undisturbed_by_a_child(sources: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "dataset")
    ingest(sources[:1], out, SMALL)
    parent = load_manifest(out)
    config = DataConfig(group_size=2, groups=1, n_search=2)
    loader = ClipLoader([Dataset(out, parent.digest)], config, seed=1)
    first = [loader.group(step, 0).clip_ids for step in range(2)]
    ingest(sources, out, SMALL)
    assert load_manifest(out).parent == parent.digest
    again = ClipLoader([Dataset(out, parent.digest)], config, seed=1)
    assert [again.group(step, 0).clip_ids for step in range(2)] == first
    assert [loader.group(step, 0).clip_ids for step in range(2, 4)] == [
        again.group(step, 0).clip_ids for step in range(2, 4)
    ]


def test_a_store_that_fails_in_the_middle_of_publishing_is_one_error_and_a_rerun_goes_on(
    sources: list[str], undisturbed: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch, work: Path
) -> None:
    with moto_s3() as (server, faults):
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        dataset = server.url("dataset")
        faults.denies = ".rejects.parquet"
        with pytest.raises(SSTrackError, match=r"rejects\.parquet: the store denies it .* ask for the permission"):
            ingest(sources, dataset, SMALL)
        assert not storage.exists(storage.join(dataset, "HEAD"))
        faults.denies = ""
        monkeypatch.setattr(seams.DECODE, None)  # nothing is decoded again
        ingest(sources, dataset, SMALL)
        assert files(dataset) == undisturbed


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_at_random_points_again_and_again(
    sources: list[str], undisturbed: Mapping[str, bytes], s3_server: S3Server, work: Path, tmp_path: Path
) -> None:
    rng = random.Random(20)
    begun = time.monotonic()
    start(None, sources, str(tmp_path / "timed"), workers=2).join()
    whole = time.monotonic() - begun
    kills = rounds = 0
    while kills < 25:
        rounds += 1
        dataset = s3_server.url("soak", str(rounds)) if rounds % 2 else str(tmp_path / f"dataset-{rounds}")
        while True:
            process = start(None, sources, dataset, workers=kills % 3)
            process.join(rng.uniform(0.05, 1.1) * whole)
            if process.exitcode is not None:
                assert process.exitcode == 0
                break
            process.kill()
            process.join()
            kills += 1
        ingest(sources, dataset, SMALL)
        assert files(dataset) == undisturbed, f"round {rounds} after {kills} kills"
    print(f"{kills} kills in {rounds} rounds, a whole run takes {whole:.1f} s")
