"""Ingest: real videos become a dataset that WebDataset reads; the known is not done again; every drop has a reason."""

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import simplejpeg
from webdataset.compat import WebDataset

from pipelines.dataset.index import load_index
from pipelines.dataset.manifest import load_manifest, read_clips, read_rejects, read_sources
from pipelines.errors import SSTrackError
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.progress import IngestProgress
from pipelines.ingest.run import ingest

SMALL = IngestConfig(long_side=160, min_frames=10, max_frames=40)


@pytest.fixture(scope="module")
def dataset(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two real videos and a text file that calls itself one."""
    root = tmp_path_factory.mktemp("ingest")
    (root / "notes.mp4").write_text("this is no video\n")
    out = str(root / "dataset")
    ingest([str(real_videos / "action.avi"), str(real_videos / "people_768f.mp4"), str(root / "notes.mp4")], out, SMALL)
    return out


def rows(table: pa.Table) -> list[dict]:
    return table.to_pylist()


def source_id(dataset: str, name: str) -> str:
    [found] = [row for row in rows(read_sources(dataset, load_manifest(dataset))) if row["source_uri"].endswith(name)]
    return found["source_id"]


def test_clips_are_whole_shots_of_the_configured_size_and_length(dataset: str) -> None:
    manifest = load_manifest(dataset)
    clips = rows(read_clips(dataset, manifest))
    assert len(clips) == manifest.totals.clips >= 8
    for clip in clips:
        assert max(clip["width"], clip["height"]) <= 160
        assert clip["width"] % 2 == clip["height"] % 2 == 0
        assert 10 <= clip["frames"] <= 40
        assert clip["end_s"] - clip["start_s"] == pytest.approx(clip["frames"] / clip["fps"])
    people = [clip for clip in clips if clip["source_id"] == source_id(dataset, "people_768f.mp4")]
    # cuts of the film as an eye sees them, in seconds
    for cut in (80 / 30, 137 / 30, 198 / 30, 277 / 30, 352 / 30, 462 / 30, 566 / 30, 740 / 30):
        inside = [clip for clip in people if clip["start_s"] < cut < clip["end_s"]]
        assert inside == []


def test_seed_boxes_lie_inside_the_first_frame(dataset: str) -> None:
    clips = rows(read_clips(dataset, load_manifest(dataset)))
    seeded = [clip for clip in clips if clip["seeds"]]
    assert seeded
    for clip in seeded:
        assert clip["seed_x"] >= 0 and clip["seed_x"] + clip["seed_w"] <= clip["width"] + 1e-3
        assert clip["seed_y"] >= 0 and clip["seed_y"] + clip["seed_h"] <= clip["height"] + 1e-3
        assert 0.25 <= clip["seed_score"] <= 1
        assert clip["seed_source"] == "motion"
    assert all(np.isnan(clip["seed_x"]) for clip in clips if not clip["seeds"])


# webdataset leaves the files it read to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_the_webdataset_library_reads_the_shards(dataset: str) -> None:
    manifest = load_manifest(dataset)
    urls = [f"{dataset}/shards/{shard.sha256}.tar" for shard in manifest.shards]
    samples = {sample["__key__"]: sample for sample in WebDataset(urls, shardshuffle=False, empty_check=False)}
    clips = rows(read_clips(dataset, manifest))
    assert sorted(samples) == sorted(clip["clip_id"] for clip in clips)
    for clip in clips:
        names = sorted(name for name in samples[clip["clip_id"]] if name.endswith(".jpg"))
        assert names == [f"{number:04d}.jpg" for number in range(clip["frames"])]
        picture = simplejpeg.decode_jpeg(samples[clip["clip_id"]]["0000.jpg"])
        assert picture.shape == (clip["height"], clip["width"], 3)


def test_the_index_gives_the_same_bytes_as_the_tar(dataset: str) -> None:
    for shard in load_manifest(dataset).shards:
        path = Path(dataset) / "shards" / f"{shard.sha256}.tar"
        data = path.read_bytes()
        index = load_index(dataset, shard.sha256)
        with tarfile.open(path) as tar:
            members = [member for member in tar if member.name.endswith(".jpg")]
            assert len(members) == shard.frames == sum(len(span.sizes) for span in index.values())
            for member in members:
                clip_id, number, _ = member.name.split(".")
                offset, size = (int(a[int(number)]) for a in (index[clip_id].offsets, index[clip_id].sizes))
                content = tar.extractfile(member)
                assert content is not None
                assert data[offset : offset + size] == content.read()
                assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")


def test_members_of_a_shard_are_sorted(dataset: str) -> None:
    for shard in load_manifest(dataset).shards:
        with tarfile.open(Path(dataset) / "shards" / f"{shard.sha256}.tar") as tar:
            names = tar.getnames()
        assert names == sorted(names)


def test_a_text_file_named_mp4_is_rejected_with_a_reason_and_stops_nothing(dataset: str) -> None:
    manifest = load_manifest(dataset)
    [row] = [row for row in rows(read_rejects(dataset, manifest)) if row["source_uri"].endswith("notes.mp4")]
    assert (row["stage"], row["reason"]) == ("probe", "not_a_video")
    assert manifest.totals.rejects["not_a_video"] == 1


def test_a_second_run_finds_everything_and_publishes_nothing(dataset: str, real_videos: Path) -> None:
    before = load_manifest(dataset).digest
    told: list[IngestProgress] = []
    sources = [str(real_videos / "action.avi"), str(Path(dataset).parent / "notes.mp4")]
    report = ingest(sources, dataset, SMALL, progress=told.append)
    assert (report.published, report.manifest, report.clips_new) == (False, before, 0)
    assert (report.sources_new, report.sources_known) == (0, 2)
    assert told == []


def test_new_sources_make_a_child_that_shares_its_parents_shards(
    dataset: str, real_videos: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "dataset")
    shutil.copytree(dataset, out)
    parent = load_manifest(out)
    report = ingest([str(real_videos / "big_buck_bunny.mpg")], out, SMALL)
    child = load_manifest(out)
    assert report.published
    assert child.parent == parent.digest
    assert child.shards[: len(parent.shards)] == parent.shards
    assert report.clips == parent.totals.clips + report.clips_new > parent.totals.clips
    assert load_manifest(out, parent.digest) == parent


def test_other_settings_replace_a_sources_clips(dataset: str, real_videos: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "dataset")
    shutil.copytree(dataset, out)
    ingest([str(real_videos / "action.avi")], out, SMALL.model_copy(update={"fps": 5.0}))
    clips = rows(read_clips(out, load_manifest(out)))
    assert {clip["fps"] for clip in clips if clip["source_id"] == source_id(out, "action.avi")} == {5.0}
    assert {clip["fps"] for clip in clips if clip["source_id"] == source_id(out, "people_768f.mp4")} == {10.0}


def test_a_truncated_video_keeps_its_frames_and_says_so(real_videos: Path, tmp_path: Path) -> None:
    whole = (real_videos / "action.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    out = str(tmp_path / "dataset")
    report = ingest([str(tmp_path / "cut.avi")], out, SMALL)
    assert report.clips >= 1
    assert report.rejects["frames_lost"] == 1
    [source] = rows(read_sources(out, load_manifest(out)))
    assert 20 < source["frames_decoded"] < source["frames_expected"] == 164


def test_the_same_bytes_under_two_names_are_one_source(real_videos: Path, tmp_path: Path) -> None:
    for name in ("a.avi", "b.avi"):
        shutil.copy(real_videos / "action.avi", tmp_path / name)
    report = ingest([str(tmp_path)], str(tmp_path / "dataset"), SMALL)
    assert report.sources_new == 1
    assert report.rejects["duplicate"] == 1


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{video}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{video}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{video}</BaseURL></MPD>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_named_mp4_is_refused(kind: str, real_videos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.mp4").write_text(PLAYLISTS[kind].format(video=real_videos / "action.avi"))
    with pytest.raises(SSTrackError, match="not_a_video"):
        ingest([str(tmp_path / "list.mp4")], str(tmp_path / "dataset"), SMALL)


def test_nothing_usable_is_one_error_with_reasons_and_publishes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mkv").write_text("text")
    with pytest.raises(SSTrackError, match=r"no usable clip in 2 source\(s\): empty \(1\), not_a_video \(1\)"):
        ingest([str(tmp_path)], str(tmp_path / "dataset"), SMALL)
    assert not (tmp_path / "dataset").exists()


def test_limits_on_untrusted_files_are_reasons(real_videos: Path, tmp_path: Path) -> None:
    for limit, reason in (
        ({"max_pixels": 4096}, "frame_too_large"),
        ({"max_seconds": 1.0}, "too_long"),
        ({"max_mib": 0.1}, "file_too_large"),
        ({"min_side": 400}, "too_small"),
    ):
        with pytest.raises(SSTrackError, match=reason):
            ingest([str(real_videos / "action.avi")], str(tmp_path / "dataset"), SMALL.model_copy(update=limit))


def test_missing_and_empty_places_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SSTrackError, match="there is no file or folder"):
        ingest([str(tmp_path / "nowhere")], str(tmp_path / "dataset"))
    with pytest.raises(SSTrackError, match="no video in"):
        ingest([str(tmp_path)], str(tmp_path / "dataset"))


def test_colours_of_stored_frames_are_those_of_the_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "bars.mp4"
    colours = np.array([[255, 255, 255], [0, 0, 0], [200, 30, 30], [30, 60, 200]], np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 320, 240, "yuv420p", 4_000_000
        for number in range(30):
            picture = np.repeat(colours, 80, 0)[None].repeat(240, 0)
            picture = np.roll(picture, 4 * number, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(stream.encode())
    out = str(tmp_path / "dataset")
    ingest([str(path)], out, SMALL)
    [shard] = load_manifest(out).shards
    with tarfile.open(Path(out) / "shards" / f"{shard.sha256}.tar") as tar:
        member = tar.extractfile(next(name for name in tar.getnames() if name.endswith("0000.jpg")))
        assert member is not None
        picture = simplejpeg.decode_jpeg(io.BytesIO(member.read()).getvalue())
    for number, colour in enumerate(colours):
        middle = picture[20:100, 40 * number + 10 : 40 * number + 30].reshape(-1, 3).mean(0)
        assert np.abs(middle - colour).max() < 8
