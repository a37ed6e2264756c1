"""Repeats: the same pictures in two codecs are kept once, whatever the order; a benchmark's sequences never get in."""

import random
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from pipelines.dataset.manifest import load_manifest, read_clips, read_rejects, read_sources
from pipelines.errors import SSTrackError
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.curate.overlap import load_benchmarks
from pipelines.ingest.run import ingest

SMALL = IngestConfig(long_side=160, max_frames=50)


def rejects(dataset: str, stage: str) -> list[dict]:
    return [row for row in read_rejects(dataset, load_manifest(dataset)).to_pylist() if row["stage"] == stage]


def clips(dataset: str) -> list[dict]:
    return read_clips(dataset, load_manifest(dataset)).to_pylist()


def ffmpeg(*arguments: object) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=120)


@pytest.fixture(scope="module")
def videos(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two codecs of one film, a film, its mirrored crop at other brightness, and one of its own."""
    folder = tmp_path_factory.mktemp("videos")
    edit = "hflip,crop=iw*0.94:ih*0.94,eq=brightness=0.08"
    ffmpeg("-i", real_videos / "action.avi", "-vf", edit, "-r", 20, folder / "edited.mp4")
    real = ("big_buck_bunny.mpg", "big_buck_bunny.wmv", "action.avi", "01_dog.mp4")
    return [*(str(real_videos / name) for name in real), str(folder / "edited.mp4")]


@pytest.fixture(scope="module")
def dataset(videos: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    out = str(tmp_path_factory.mktemp("dedup") / "dataset")
    ingest(videos, out, SMALL, workers=2)
    return out


def test_each_film_is_kept_once_and_the_copy_names_what_it_repeats(dataset: str) -> None:
    uris = {
        row["source_id"]: Path(row["source_uri"]).name
        for row in read_sources(dataset, load_manifest(dataset)).to_pylist()
    }
    kept = {clip["clip_id"]: uris[clip["source_id"]] for clip in clips(dataset)}
    assert {"action.avi", "01_dog.mp4"} <= set(kept.values())
    assert len({"big_buck_bunny.mpg", "big_buck_bunny.wmv"} & set(kept.values())) == 1
    assert "edited.mp4" not in kept.values()
    gone = rejects(dataset, "dedup")
    assert {row["reason"] for row in gone} == {"near_duplicate"}
    for row in gone:
        pair = {uris[row["source_id"]], kept[row["duplicate_of"]]}
        assert pair in ({"big_buck_bunny.mpg", "big_buck_bunny.wmv"}, {"edited.mp4", "action.avi"})
        assert row["clip_id"] not in kept


def test_the_order_of_sources_changes_nothing(videos: list[str], dataset: str, tmp_path: Path) -> None:
    shuffled = random.Random(3).sample(videos, len(videos))
    ingest(shuffled, str(tmp_path / "dataset"), SMALL)
    one, other = load_manifest(dataset), load_manifest(str(tmp_path / "dataset"))
    assert one.clips_table == other.clips_table
    assert one.shards == other.shards


def test_a_copy_of_a_parents_clip_does_not_come_in_later(videos: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "dataset")
    ingest([videos[1]], out, SMALL)
    before = [clip["clip_id"] for clip in clips(out)]
    report = ingest([videos[0]], out, SMALL)
    assert report.clips_new == 0
    assert [clip["clip_id"] for clip in clips(out)] == before
    assert {row["duplicate_of"] for row in rejects(out, "dedup")} <= set(before)


def test_copies_stay_where_dedup_is_off(videos: list[str], tmp_path: Path) -> None:
    report = ingest(videos[:2], str(tmp_path / "dataset"), SMALL.model_copy(update={"dedup": False}))
    assert report.clips == 4
    assert rejects(str(tmp_path / "dataset"), "dedup") == []


@pytest.fixture(scope="module")
def leak(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video made of a benchmark's pictures."""
    path = tmp_path_factory.mktemp("leak") / "found_online.mp4"
    pictures = shared / "data" / "sequences" / "otb" / "Crossing" / "img" / "%04d.jpg"
    ffmpeg("-r", 20, "-i", pictures, "-vf", "scale=320:-2,crop=iw*0.95:ih*0.95", "-crf", 30, path)
    return path


def test_a_video_of_a_benchmarks_sequence_is_left_out(
    shared: Path, videos: list[str], leak: Path, work: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "dataset")
    root = str(shared / "data" / "sequences" / "otb")
    report = ingest([str(leak), videos[2]], out, SMALL, exclude=[root])
    assert report.rejects["overlaps_benchmark"] >= 1
    assert {row["duplicate_of"] for row in rejects(out, "dedup")} == {"otb/Crossing"}
    assert {clip["source_id"] for clip in clips(out)} == {
        row["source_id"]
        for row in read_sources(out, load_manifest(out)).to_pylist()
        if row["source_uri"].endswith("action.avi")
    }


def test_a_benchmarks_hashes_are_made_once(shared: Path, tmp_path: Path) -> None:
    root = str(shared / "data" / "sequences" / "otb")
    first = load_benchmarks([root], tmp_path)
    entries = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = load_benchmarks([root], tmp_path)
    assert first.names == again.names == ("otb/Couple", "otb/Crossing", "otb/Football1", "otb/Skiing")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == entries
    assert all((a == b).all() for a, b in zip(first.looks, again.looks, strict=True))


def test_a_root_without_sequences_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SSTrackError, match="no sequence under"):
        load_benchmarks([str(tmp_path)], tmp_path)
    with pytest.raises(SSTrackError, match="no folder"):
        load_benchmarks([str(tmp_path / "nowhere")], tmp_path)
