"""Footage as people have it: joined, spliced, paused, interlaced, mirrored, HDR, with covers. Both decoders store every
frame of it, upright and whole, and what is not stored has a row."""

import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from pipelines import storage
from pipelines.dataset.accounts import unaccounted
from pipelines.frames import read_clip
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.pack import Pack
from pipelines.ingest.video.decoding.ffmpeg_backend import binary
from tests.factories import pack_video

BACKENDS = ("pyav", "ffmpeg")
SECONDS = 3
RATE = 24

pytestmark = pytest.mark.parametrize("backend", BACKENDS)
Make = Callable[..., Path]


def ffmpeg(*words: object) -> None:
    subprocess.run([binary(), "-v", "error", "-y", *map(str, words)], check=True)


@pytest.fixture(scope="module")
def base(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a juggler in motion, 24 frames a second, times without a flaw."""
    film = tmp_path_factory.mktemp("base") / "base.mp4"
    source = real_videos / "05_default_juggle.mp4"
    ffmpeg("-i", source, "-t", SECONDS, "-an", "-vf", f"scale=320:180,fps={RATE}", "-preset", "veryfast", film)
    return film


def packed(film: Path, backend: str, folder: Path) -> Pack:
    """What ingest makes of a film, all clips kept, after a check that every second of it is told of."""
    pack = pack_video(film, IngestConfig.model_validate({"backend": backend, "score_only": True}), folder / backend)
    clips = [clip.as_dict() for clip, _ in pack.clips]
    rows = [vars(row) for row in pack.rejects]
    assert unaccounted([vars(pack.source)], clips, rows, 10.0) == []
    assert all(clip["start_s"] >= 0 for clip in clips)
    return pack


def frames_of(pack: Pack) -> list[NDArray[np.uint8]]:
    data = Path(storage.local_path(pack.frames)).read_bytes()
    places = [place for _, places in pack.clips for place in places]
    return [simplejpeg.decode_jpeg(data[at : at + size]) for at, size in places]


def stored(pack: Pack) -> int:
    return sum(clip.frames for clip, _ in pack.clips)


def spans(pack: Pack) -> list[tuple[float, float]]:
    return [(clip.start_s, clip.end_s) for clip, _ in pack.clips]


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def combing(picture: NDArray[np.uint8]) -> float:
    """How much rows differ from the mean of their neighbours, less what rows of one field do: grey levels."""
    rows = picture.astype(np.float64).mean(axis=2)
    return float(
        np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean() - np.abs(rows[2:-2] - (rows[:-4] + rows[4:]) / 2).mean()
    )


@pytest.mark.parametrize(("suffix", "codec"), [("ts", "libx264"), ("ts", "mpeg2video"), ("vob", "mpeg2video")])
def test_recordings_put_behind_each_other_are_one_film(
    suffix: str, codec: str, backend: str, base: Path, tmp_path: Path
) -> None:
    parts = [tmp_path / f"{number}.{suffix}" for number in range(3)]
    for number, part in enumerate(parts):
        ffmpeg("-ss", number, "-i", base, "-t", 1, "-c:v", codec, "-q:v", 3, part)
    film = tmp_path / f"joined.{suffix}"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    pack = packed(film, backend, tmp_path)
    assert pack.source.seconds == pytest.approx(SECONDS, abs=0.01)
    assert (stored(pack), pack.rejects) == (SECONDS * 10, ())


@pytest.mark.parametrize("hours", [1, 7])
def test_times_that_jump_by_hours_part_two_clips_and_add_no_frame(
    hours: int, backend: str, base: Path, tmp_path: Path
) -> None:
    first, second, film = (tmp_path / f"{name}.ts" for name in ("a", "b", "spliced"))
    ffmpeg("-i", base, "-t", 1.5, "-preset", "veryfast", first)
    ffmpeg("-ss", 1.5, "-i", base, "-preset", "veryfast", "-output_ts_offset", 3600 * hours, second)
    film.write_bytes(first.read_bytes() + second.read_bytes())
    pack = packed(film, backend, tmp_path)
    assert [row.reason for row in pack.rejects] == ["gap"]
    assert len(pack.clips) == 2 and stored(pack) == SECONDS * 10
    assert pack.source.seconds == pytest.approx(SECONDS, abs=0.01)


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_a_pause_is_left_out_and_the_action_keeps_its_rate(
    suffix: str, backend: str, base: Path, tmp_path: Path
) -> None:
    film = tmp_path / f"paused.{suffix}"
    codec = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8) if suffix == "webm" else ()
    ffmpeg("-i", base, "-vf", "setpts='PTS+gte(N,36)*50/TB'", "-fps_mode", "passthrough", *codec, film)
    pack = packed(film, backend, tmp_path)
    assert {clip.fps for clip, _ in pack.clips} == {10.0}
    assert stored(pack) == SECONDS * 10
    [pause] = pack.rejects
    assert pause.reason == "frozen" and pause.start_s is not None and pause.end_s is not None
    assert pause.end_s - pause.start_s == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize(("order", "flag"), [("interleave_top", "tff"), ("interleave_bottom", "bff")])
def test_interlaced_frames_are_made_whole(order: str, flag: str, backend: str, base: Path, tmp_path: Path) -> None:
    film = tmp_path / "fields.mpg"
    fields = f"fps=50,tinterlace={order},setfield={flag}"
    ffmpeg("-i", base, "-vf", fields, "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", 2, film)
    pack = packed(film, backend, tmp_path)
    as_is = IngestConfig.model_validate({"backend": backend, "score_only": True, "deinterlace": False})
    raw = pack_video(film, as_is, tmp_path / "raw")
    assert list(pack.source.treated) == ["deinterlaced"] and not raw.source.treated
    assert (
        np.mean([combing(frame) for frame in frames_of(pack)])
        < np.mean([combing(frame) for frame in frames_of(raw)]) - 0.2
    )
    assert (
        np.mean([combing(frame) for frame in read_clip(film)])
        < np.mean([combing(frame) for frame in frames_of(raw)]) - 0.2
    )


def test_interlace_that_begins_later_is_made_whole_and_told_of(backend: str, base: Path, tmp_path: Path) -> None:
    parts = [tmp_path / f"{number}.ts" for number in range(2)]
    codec = ("-c:v", "libx264", "-preset", "ultrafast")
    plain = "bframes=0:ref=1:cabac=0:8x8dct=0"  # other parameters than those of the second part, which MP4 then keeps
    ffmpeg("-i", base, "-t", 1, "-r", 25, *codec, "-x264-params", plain, parts[0])
    fields = "fps=50,tinterlace=interleave_top,setfield=tff"
    ffmpeg("-ss", 1, "-i", base, "-vf", fields, *codec, "-x264-params", "tff=1", parts[1])
    listed = tmp_path / "parts.txt"
    listed.write_text("".join(f"file '{part}'\n" for part in parts))
    film = tmp_path / "film.mp4"
    ffmpeg("-f", "concat", "-safe", 0, "-i", listed, "-c", "copy", film)
    pack = packed(film, backend, tmp_path)
    as_is = IngestConfig.model_validate({"backend": backend, "score_only": True, "deinterlace": False})
    raw = pack_video(film, as_is, tmp_path / "raw")
    assert list(pack.source.treated) == ["deinterlaced"]
    whole, combed = (np.mean([combing(frame) for frame in frames_of(each)[12:]]) for each in (pack, raw))
    assert whole < combed - 0.2


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_stream_without_times_is_shown_at_its_own_rate(codec: str, backend: str, base: Path, tmp_path: Path) -> None:
    film = tmp_path / ("raw.264" if codec == "libx264" else "raw.hevc")
    quiet = ("-x265-params", "log-level=error") if codec == "libx265" else ()
    ffmpeg("-i", base, "-c:v", codec, "-preset", "ultrafast", *quiet, film)
    pack = packed(film, backend, tmp_path)
    assert (pack.source.seconds, stored(pack), pack.rejects) == (SECONDS, SECONDS * 10, ())


def test_a_raw_stream_that_states_ticks_for_frames_is_shown_at_25(backend: str, base: Path, tmp_path: Path) -> None:
    film = tmp_path / "raw.264"
    ticks = "h264_metadata=tick_rate=180000:fixed_frame_rate_flag=0"
    ffmpeg("-i", base, "-c:v", "libx264", "-preset", "ultrafast", "-bsf:v", ticks, film)
    pack = packed(film, backend, tmp_path)
    assert pack.source.frames_decoded == SECONDS * RATE
    assert pack.source.fps == 25 and abs(stored(pack) - SECONDS * RATE / 25 * 10) < 1


@pytest.mark.parametrize("rates", [(24, 12), (12, 24)])
def test_a_rate_that_changes_loses_no_frame(rates: tuple[int, int], backend: str, base: Path, tmp_path: Path) -> None:
    parts = [tmp_path / f"{rate}.ts" for rate in rates]
    for rate, part in zip(rates, parts, strict=True):
        ffmpeg("-i", base, "-r", rate, "-preset", "ultrafast", part)
    film = tmp_path / "film.ts"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    pack = packed(film, backend, tmp_path)
    assert pack.source.frames_decoded == pack.source.frames_expected >= SECONDS * sum(rates)
    assert stored(pack) >= 2 * SECONDS * 10 - 1 and pack.rejects == ()


@pytest.mark.parametrize("name", ["Freh7_B.ts", "freh5.264"])
def test_fields_in_packets_of_their_own_make_one_frame(name: str, backend: str, shared: Path, tmp_path: Path) -> None:
    pack = packed(shared / "data/videos-hard" / name, backend, tmp_path)
    assert (pack.source.seconds, pack.source.frames_expected, pack.source.frames_decoded) == (4.0, 100, 100)
    assert (stored(pack), pack.rejects) == (40, ())


@pytest.mark.parametrize(
    "turn", [("-display_hflip",), ("-display_vflip",), ("-display_rotation", 90, "-display_hflip")]
)
def test_a_mirrored_matrix_is_shown_as_a_player_does(
    turn: tuple[object, ...], backend: str, base: Path, tmp_path: Path
) -> None:
    film = tmp_path / "turned.mp4"
    ffmpeg(*turn, "-i", base, "-c", "copy", film)
    player = tmp_path / "player.mp4"
    ffmpeg("-i", film, "-preset", "veryfast", "-crf", 12, player)  # ffmpeg turns by itself
    wanted = list(read_clip(player))
    assert difference(next(read_clip(film)), wanted[0]) < 4
    assert difference(frames_of(packed(film, backend, tmp_path))[0], wanted[0]) < 6


def test_pixels_that_are_not_square_are_shown_square_by_track_and_ingest(
    backend: str, base: Path, tmp_path: Path
) -> None:
    film = tmp_path / "anamorphic.mp4"
    ffmpeg("-i", base, "-vf", "scale=224:180,setsar=10/7", "-preset", "veryfast", film)
    pack = packed(film, backend, tmp_path)
    assert frames_of(pack)[0].shape == next(read_clip(film)).shape == (180, 320, 3)


def test_recordings_of_other_shapes_keep_theirs_between_bars(backend: str, base: Path, tmp_path: Path) -> None:
    parts = [tmp_path / f"{number}.ts" for number in range(2)]
    codec = ("-c:v", "libx264", "-preset", "ultrafast")
    ffmpeg("-i", base, "-t", 1, *codec, parts[0])
    ffmpeg("-ss", 1, "-i", base, "-vf", "crop=240:180", *codec, parts[1])
    film = tmp_path / "joined.ts"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    pack = packed(film, backend, tmp_path)
    assert stored(pack) >= SECONDS * 10 - 2  # the change may be taken for a cut
    for last in (frames_of(pack)[-1], list(read_clip(film))[-1]):
        assert last.shape == (180, 320, 3)
        assert max(last[:, :36].mean(), last[:, 284:].mean()) < 4
        assert difference(last[:, 44:276], list(read_clip(base))[-1][:, 44:276]) < 20


def test_a_cover_that_calls_itself_the_default_is_no_film(backend: str, base: Path, tmp_path: Path) -> None:
    cover, film = tmp_path / "cover.jpg", tmp_path / "film.mkv"
    ffmpeg("-i", base, "-frames:v", 1, "-vf", "scale=1280:720", cover)
    streams = ("-map", 0, "-map", 1, "-c", "copy", "-disposition:v:0", "default", "-disposition:v:1", 0)
    ffmpeg("-i", cover, "-i", base, *streams, film)
    assert stored(packed(film, backend, tmp_path)) == SECONDS * 10
    assert sum(1 for _ in read_clip(film)) == SECONDS * RATE


def test_a_film_that_starts_late_is_as_long_as_it_is(backend: str, base: Path, tmp_path: Path) -> None:
    film = tmp_path / "late.mkv"
    ffmpeg("-i", base, "-c", "copy", "-output_ts_offset", 100, film)
    pack = packed(film, backend, tmp_path)
    assert (pack.source.seconds, stored(pack), pack.rejects) == (SECONDS, SECONDS * 10, ())


@pytest.mark.parametrize("name", ["preview_first.mp4", "cover_udta_first.mp4"])
def test_the_film_is_read_and_not_its_cover_or_preview(name: str, backend: str, shared: Path, tmp_path: Path) -> None:
    film = shared / "data/videos-hard" / name
    pack = packed(film, backend, tmp_path)
    assert (stored(pack), list(pack.source.treated)) == (60, ["stream 1 of 2 with pictures"])
    assert sum(1 for _ in read_clip(film)) == 144


@pytest.mark.parametrize("by", ["stream", "container"])
@pytest.mark.parametrize(("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG")])
def test_hdr_is_stored_as_it_looked(
    transfer: str, name: str, by: str, backend: str, base: Path, tmp_path: Path
) -> None:
    film = tmp_path / "hdr.mp4"
    linear = "zscale=t=linear:npl=203,format=gbrpf32le"
    coded = f"zscale=p=bt2020:t={transfer}:m=bt2020nc:r=limited:npl=203,format=yuv420p10le"
    if by == "container":
        coded += ",setparams=color_primaries=unknown:color_trc=unknown:colorspace=unknown"
    told = f"log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    ffmpeg(
        "-i",
        base,
        "-t",
        1,
        "-vf",
        f"{linear},{coded}",
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        told if by == "stream" else "log-level=error",
        film,
    )
    if by == "container":
        untold, film = film, tmp_path / "told.mkv"
        said = ("-color_trc", transfer, "-color_primaries", "bt2020", "-colorspace", "bt2020nc")
        ffmpeg("-i", untold, "-c", "copy", *said, film)
    pack = packed(film, backend, tmp_path)
    assert list(pack.source.treated) == [f"tone-mapped from {name}"]
    ordinary = np.stack(list(read_clip(base))[:RATE]).astype(float)
    for found in (np.stack(frames_of(pack)), np.stack(list(read_clip(film)))):
        assert found.mean() == pytest.approx(ordinary.mean(), abs=6)
        assert found.std() == pytest.approx(ordinary.std(), abs=8)


@pytest.mark.parametrize("suffix", ["gif", "apng"])
def test_moving_pictures_of_the_web_are_films(suffix: str, backend: str, base: Path, tmp_path: Path) -> None:
    film = tmp_path / f"film.{suffix}"
    ffmpeg("-i", base, "-vf", "fps=10", film)
    assert stored(packed(film, backend, tmp_path)) == SECONDS * 10


def test_one_frame_is_too_short_and_a_webp_is_a_picture(backend: str, base: Path, tmp_path: Path) -> None:
    one, webp = tmp_path / "one.mp4", tmp_path / "film.webp"
    ffmpeg("-i", base, "-frames:v", 1, one)
    ffmpeg("-i", base, "-t", 1, "-c:v", "libwebp_anim", webp)
    assert [row.reason for row in packed(one, backend, tmp_path).rejects] == ["too_short"]
    assert [row.reason for row in packed(webp, backend, tmp_path).rejects] == ["picture"]


def test_clips_of_one_film_follow_each_other(backend: str, shared: Path, tmp_path: Path) -> None:
    pack = packed(shared / "data/videos-hard/jump_1h.ts", backend, tmp_path)
    assert all(before[1] <= after[0] + 1e-6 for before, after in pairwise(spans(pack)))


@pytest.mark.parametrize("suffix", ["mp4", "flv"])
def test_a_film_behind_the_first_one_is_told_of(suffix: str, backend: str, base: Path, tmp_path: Path) -> None:
    one, film = tmp_path / f"one.{suffix}", tmp_path / f"joined.{suffix}"
    ffmpeg("-i", base, "-c", "copy", one)
    film.write_bytes(one.read_bytes() * 2)
    pack = packed(film, backend, tmp_path)
    assert stored(pack) == SECONDS * 10
    [row] = pack.rejects
    assert (row.reason, row.detail.split()[0]) == ("appended", str(one.stat().st_size))
