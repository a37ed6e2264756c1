"""A withdrawn video is gone: from the clips, from the shards, from what a training reads, and for later ingests."""

import hashlib
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from pipelines import storage
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.manifest import load_manifest, read_clips, read_rejects, read_sources
from pipelines.dataset.prune import prune
from pipelines.dataset.verify import verify
from pipelines.errors import SSTrackError, UsageError
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.curate.refilter import refilter
from pipelines.ingest.curate.withdraw import withdraw
from pipelines.ingest.run import ingest
from sstrack.configs.data import DataConfig
from tests.s3 import S3Server

SMALL = IngestConfig(long_side=160, min_frames=10, max_frames=25)
CONFIG = DataConfig(group_size=2, groups=1, n_search=2)


@pytest.fixture(scope="module")
def videos(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real films in a folder of their own."""
    folder = tmp_path_factory.mktemp("films")
    for name in ("action.avi", "street_426x240.mp4"):
        shutil.copy(real_videos / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def original(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both films, whose clips share a shard."""
    out = tmp_path_factory.mktemp("withdraw") / "dataset"
    ingest([str(videos)], str(out), SMALL)
    assert len(load_manifest(str(out)).shards) == 1
    return out


@pytest.fixture
def dataset(original: Path, tmp_path: Path, work: Path) -> str:
    return str(shutil.copytree(original, tmp_path / "dataset"))


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def clips_of(dataset: str, source: str) -> set[str]:
    rows = read_clips(dataset, load_manifest(dataset)).to_pylist()
    return {row["clip_id"] for row in rows if row["source_id"] == source}


def read_in_training(dataset: str, manifest: str) -> set[str]:
    """Clips of some batches."""
    loader = ClipLoader([Dataset(dataset, manifest)], CONFIG, seed=1)
    read = {clip for step in range(8) for clip in loader.group(step, 0).clip_ids}
    loader.close()
    return read


def test_no_file_of_the_child_holds_a_frame_of_it_and_no_training_reads_one(dataset: str, videos: Path) -> None:
    gone, stays = sha(videos / "action.avi"), sha(videos / "street_426x240.mp4")
    parent = load_manifest(dataset)
    clips, others = clips_of(dataset, gone), clips_of(dataset, stays)
    assert len(clips) > 1 and len(others) > 1
    done = withdraw(dataset, str(videos / "action.avi"), "its owner\nasks")
    child = load_manifest(dataset)
    assert done.published and done.source == gone and (done.clips, done.shards) == (len(clips), 1)
    assert (child.parent, child.digest) == (parent.digest, done.manifest)
    assert child.data_digest != parent.data_digest
    assert clips_of(dataset, gone) == set() and clips_of(dataset, stays) == others
    held = b"".join(storage.read_bytes(f"{dataset}/shards/{shard.sha256}.tar") for shard in child.shards)
    assert not any(clip.encode() in held for clip in clips)
    assert all(clip.encode() in held for clip in others)
    assert verify(dataset, decode=1).problems == []
    assert verify(dataset, parent.digest).problems == []  # who trains on the parent is not disturbed
    assert read_in_training(dataset, parent.digest) & clips
    read = read_in_training(dataset, child.digest)
    assert read and read <= others
    (row,) = [row for row in read_rejects(dataset, child).to_pylist() if row["source_id"] == gone]
    assert (row["stage"], row["reason"], row["detail"]) == ("withdraw", "withdrawn", "its owner asks")
    sources = {row["source_id"]: row["clips"] for row in read_sources(dataset, child).to_pylist()}
    assert sources[gone] == 0 and sources[stays] == len(others)
    prune(dataset, hours=0, keep=1)
    left = b"".join(path.read_bytes() for path in Path(dataset).rglob("*.tar"))
    assert not any(clip.encode() in left for clip in clips)


def test_it_is_done_once_and_never_comes_back(dataset: str, videos: Path, tmp_path: Path) -> None:
    gone = sha(videos / "action.avi")
    first = withdraw(dataset, gone.upper(), "asked")
    again = withdraw(dataset, gone, "asked again")
    assert not again.published and again.manifest == first.manifest
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    shutil.copy(videos / "action.avi", renamed / "another.avi")
    for settings in (SMALL, SMALL.model_copy(update={"long_side": 128})):
        ingest([str(renamed)], dataset, settings)
        assert clips_of(dataset, gone) == set()
    refilter(dataset, {"score_only": True})
    assert clips_of(dataset, gone) == set()


def test_a_withdrawn_clip_that_a_refilter_had_dropped_does_not_come_back_either(dataset: str, videos: Path) -> None:
    gone = sha(videos / "action.avi")
    refilter(dataset, {"min_frames": 22})
    withdraw(dataset, gone, "asked")
    refilter(dataset, {"min_frames": 2})
    assert clips_of(dataset, gone) == set()


def test_a_name_is_enough_when_the_file_is_gone(dataset: str, videos: Path, tmp_path: Path) -> None:
    moved = tmp_path / "away.avi"
    (videos / "action.avi").rename(moved)
    done = withdraw(dataset, str(videos / "action.avi"), "asked")
    moved.rename(videos / "action.avi")
    assert done.published and done.source == sha(videos / "action.avi")


def test_what_is_unknown_or_would_leave_nothing_is_one_sentence_and_changes_nothing(
    dataset: str, videos: Path, tmp_path: Path
) -> None:
    before = load_manifest(dataset).digest
    with pytest.raises(SSTrackError, match="knows no source 0000"):
        withdraw(dataset, "0" * 64, "asked")
    with pytest.raises(UsageError, match=r"no sha256, no file, and no name"):
        withdraw(dataset, "nowhere.mp4", "asked")
    with pytest.raises(UsageError, match="--reason is empty"):
        withdraw(dataset, "0" * 64, " ")
    assert load_manifest(dataset).digest == before
    said = CliRunner().invoke(app, ["dataset", "withdraw", dataset, "--source", "f" * 64, "--reason", "asked"])
    assert said.exit_code == 1 and len(said.stderr.strip().splitlines()) == 1 and "knows no source" in said.stderr
    withdraw(dataset, str(videos / "action.avi"), "asked")
    with pytest.raises(SSTrackError, match=r"no clip of .* would be left"):
        withdraw(dataset, str(videos / "street_426x240.mp4"), "asked")


def test_on_s3_too(original: Path, videos: Path, s3_server: S3Server, work: Path) -> None:
    dataset = s3_server.url("withdraw")
    for path in original.rglob("*"):
        if path.is_file() and "_state" not in path.parts:
            storage.write_atomic(storage.join(dataset, str(path.relative_to(original))), path.read_bytes())
    gone = sha(videos / "action.avi")
    assert withdraw(dataset, gone, "asked").published
    assert clips_of(dataset, gone) == set() and verify(dataset).problems == []
