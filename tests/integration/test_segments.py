"""Long videos in segments: joined, they are what one pass gives, whatever the order of work, damage included."""

import os
import pickle
import subprocess
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import av
import fsspec
import pytest

from pipelines import storage
from pipelines.crew.schedules import Split
from pipelines.ingest import errand
from pipelines.ingest import fetch as remote
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.find.sources import Found, local_file
from pipelines.ingest.pack import Pack, read_pack
from pipelines.ingest.reject import Transient, Unusable
from pipelines.ingest.state.workspace import Workspace
from pipelines.ingest.video import segments
from pipelines.ingest.video.decoding.ffmpeg_backend import binary
from pipelines.ingest.video.probe import probe
from tests.factories import local_source, pack_video
from tests.s3 import S3Server

CONFIG = IngestConfig(long_side=128, min_frames=10, segment_seconds=2)


@pytest.fixture(scope="module")
def film(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten real seconds with cuts, as H.264 with open groups of pictures at uneven distances, from second 3 on."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    options = ["-preset", "veryfast", "-x264-params", "open-gop=1:keyint=40:bframes=3", "-output_ts_offset", "3"]
    source = ["-ss", "1", "-t", "10", "-i", str(real_videos / "people_768f.mp4")]
    subprocess.run([binary(), "-nostdin", "-v", "error", *source, "-an", "-c:v", "libx264", *options, path], check=True)
    return path


def in_segments(path: Path, config: IngestConfig, folder: Path) -> Pack:
    source, space = local_source(path), Workspace.of(str(folder))
    video = probe(path, config.probing)
    planned = segments.plan(video, config.segment_seconds)
    assert len(planned) >= 3
    for segment in planned[::-1]:
        segments.process_segment(source, video, config, space, segment)
    uri = segments.join_segments(source, video, config, space, planned)
    assert storage.list_files(space.packs) == [uri]
    return read_pack(uri)


def pictures(pack: Pack) -> list[list[bytes]]:
    return [[storage.read_range(pack.frames, *place) for place in places] for _, places in pack.clips]


@pytest.mark.parametrize("backend", ["pyav", "ffmpeg"])
def test_joined_segments_are_what_one_pass_gives(backend: str, film: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"backend": backend})
    one, joined = pack_video(film, config, tmp_path / "one"), in_segments(film, config, tmp_path / "joined")
    assert len(one.clips) >= 2
    assert joined.source == one.source
    assert joined.rejects == one.rejects
    assert [clip for clip, _ in joined.clips] == [clip for clip, _ in one.clips]
    assert pictures(joined) == pictures(one)


def test_damage_is_the_same_in_segments(film: Path, tmp_path: Path) -> None:
    data = bytearray(film.read_bytes())
    middle = data.index(b"mdat") + len(data) // 2
    data[middle : middle + 60_000] = bytes(60_000)
    path = tmp_path / "broken.mp4"
    path.write_bytes(data)
    one, joined = pack_video(path, CONFIG, tmp_path / "one"), in_segments(path, CONFIG, tmp_path / "joined")
    assert any(reject.reason == "corrupt" for reject in one.rejects)
    assert [clip for clip, _ in joined.clips] == [clip for clip, _ in one.clips]
    assert pictures(joined) == pictures(one)
    assert [(r.reason, r.start_s, r.end_s) for r in joined.rejects] == [
        (r.reason, r.start_s, r.end_s) for r in one.rejects
    ]


def test_a_segment_that_fails_is_a_gap_with_a_reason(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, space = local_source(film), Workspace.of(str(tmp_path))
    video = probe(film, CONFIG.probing)
    planned = segments.plan(video, CONFIG.segment_seconds)
    decode_part = segments.decode_part

    def fail(path: Path, video: object, config: object, segment: segments.Segment, *files: object) -> object:
        if segment == planned[1]:
            raise Unusable("decode", "deadline", "not decoded within 9 s")
        return decode_part(path, video, config, segment, *files)  # type: ignore[arg-type]

    monkeypatch.setattr(segments, "decode_part", fail)
    for segment in planned:
        segments.process_segment(source, video, CONFIG, space, segment)
    pack = read_pack(segments.join_segments(source, video, CONFIG, space, planned))
    start, stop = ((tick - video.origin) * float(video.time_base) for tick in (planned[1].start, planned[1].stop))  # type: ignore[operator]
    assert pack.clips
    assert not any(clip.start_s < stop - 0.1 and clip.end_s > start + 0.1 for clip, _ in pack.clips)
    [gap] = [reject for reject in pack.rejects if reject.reason == "corrupt"]
    assert gap.start_s == pytest.approx(start, abs=0.2)
    assert gap.end_s == pytest.approx(stop, abs=0.2)


def test_short_videos_and_containers_without_an_index_are_one_segment(real_videos: Path, film: Path) -> None:
    assert len(segments.plan(probe(real_videos / "big_buck_bunny.mpg", CONFIG.probing), CONFIG.segment_seconds)) == 1
    assert segments.plan(probe(film, IngestConfig().probing), IngestConfig().segment_seconds) == (
        segments.Segment(None, None),
    )


def _silent(stage: str, amount: float, subject: str = "") -> None:
    pass


@pytest.mark.parametrize("segment_seconds", [2, 600], ids=["segmented", "whole"])
def test_a_source_is_demuxed_once_on_its_whole_way(
    segment_seconds: float, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, demux = list[str](), av.open

    def note(*args, **options):
        opened.append(args[0])
        return demux(*args, **options)

    monkeypatch.setattr(av, "open", note)  # decoders open it too, in processes of their own
    config = CONFIG.model_copy(update={"segment_seconds": segment_seconds})
    setup = errand.Setup(config, Workspace.of(str(tmp_path)), frozenset(), split=True)
    result = errand.run_errand(setup, local_file(film), _silent)
    if isinstance(result, Split):
        assert len(result.pieces) >= 3
        for part in result.pieces:
            errand.run_errand(setup, pickle.loads(pickle.dumps(part)), _silent)
        result = errand.run_errand(setup, pickle.loads(pickle.dumps(result.last)), _silent)
    assert isinstance(result, errand.Result) and read_pack(result.pack).clips
    assert len(opened) == 1
    errand.run_errand(setup, local_file(film), _silent)  # as after a kill: the pack is found
    assert len(opened) == 1


def test_a_segment_of_a_file_that_changed_meanwhile_is_not_decoded(film: Path, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film.read_bytes())
    setup = errand.Setup(CONFIG, Workspace.of(str(tmp_path / "dataset")), frozenset(), split=True)
    split = errand.run_errand(setup, local_file(path), _silent)
    assert isinstance(split, Split)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(Transient, match="it changed while it was ingested"):
        errand.run_errand(setup, split.pieces[0], _silent)
    path.unlink()
    with pytest.raises(Transient, match="it is gone"):
        errand.run_errand(setup, split.pieces[0], _silent)


def test_a_video_in_a_bucket_is_fetched_once_and_cut_like_a_local_one(
    film: Path, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, fetched, fetch = s3_server.url("long/film.mp4"), list[str](), remote.fetch
    fsspec.filesystem("s3").put_file(str(film), uri)

    def note(uri: str, *rest) -> tuple[Path, str, int]:
        fetched.append(uri)
        return fetch(uri, *rest)

    monkeypatch.setattr(remote, "fetch", note)
    space = Workspace.of(str(tmp_path / "remote"))
    setup = errand.Setup(CONFIG, space, frozenset(), split=True)
    split = errand.run_errand(setup, Found(uri, "1", film.stat().st_size), _silent)
    assert isinstance(split, Split)
    assert len(split.pieces) >= 3
    for part in split.pieces:
        errand.run_errand(setup, part, _silent)
    assert fetched == [uri]
    space.clear_drafts()  # as another run may: the last errand fetches it again
    joined = errand.run_errand(setup, split.last, _silent)
    assert isinstance(joined, errand.Result)
    assert fetched == [uri, uri]
    assert list(space.scratch.iterdir()) == []
    ours, theirs = read_pack(joined.pack), pack_video(film, CONFIG, tmp_path / "local")
    assert [clip for clip, _ in ours.clips] == [clip for clip, _ in theirs.clips]
    assert pictures(ours) == pictures(theirs)


def test_another_machine_fetches_its_own_copy_and_removes_what_nobody_used_for_long(
    film: Path, s3_server: S3Server, tmp_path: Path
) -> None:
    uri = s3_server.url("apart/film.mp4")
    fsspec.filesystem("s3").put_file(str(film), uri)
    here = Workspace.of(str(tmp_path / "remote"))
    there = replace(here, scratch=tmp_path / "there")
    setups = [errand.Setup(CONFIG, space, frozenset(), split=True) for space in (here, there)]
    split = errand.run_errand(setups[0], Found(uri, "1", film.stat().st_size), _silent)
    assert isinstance(split, Split)
    there.scratch.mkdir()
    for name in ("fetched.old", "fetched.new"):
        (there.scratch / name).touch()
    os.utime(there.scratch / "fetched.old", (0, 0))
    for part, setup in zip(split.pieces, cycle(setups)):
        errand.run_errand(setup, part, _silent)
    kept = {path.name for path in there.scratch.iterdir() if path.suffix != ".lock"}
    assert kept == {"fetched.new", f"fetched.{split.last.source_id}"}
    joined = errand.run_errand(setups[0], split.last, _silent)
    assert isinstance(joined, errand.Result) and not list(here.scratch.iterdir())
    assert pictures(read_pack(joined.pack)) == pictures(pack_video(film, CONFIG, tmp_path / "local"))
