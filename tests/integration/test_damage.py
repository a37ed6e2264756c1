"""Broken videos: what is sound is kept, bit for bit; what is not is dropped with a reason; nothing is kept on trust."""

import random
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.pack import Pack
from pipelines.ingest.video.decoding.ffmpeg_backend import binary
from pipelines.ingest.video.part import Segment, decode_part
from pipelines.ingest.video.probe import probe
from pipelines.ingest.video.timeline import Timeline, timeline_of
from tests.factories import pack_video

CONFIG = IngestConfig(long_side=160, min_frames=10, still_level=0.5)
SECONDS = 12
CLEAN = (
    "01_dog.mp4",
    "02_cups.mp4",
    "05_default_juggle.mp4",
    "action.avi",
    "big_buck_bunny.mpg",
    "big_buck_bunny.wmv",
    "clip_10s.mp4",
    "nasa_13013.mp4",
    "people_768f.mp4",
    "street_426x240.mp4",
)


@dataclass(frozen=True)
class Stored:
    """The stored frames of a video by their time in tenths of a second, and its timeline."""

    frames: dict[int, bytes]
    timeline: Timeline

    def sound(self) -> dict[int, bytes]:
        first = min(self.frames)
        return {time: data for time, data in self.frames.items() if not self.timeline.damage[time - first]}


def stored(path: Path, backend: str = "auto") -> Stored:
    config = CONFIG.model_copy(update={"backend": backend})
    video = probe(path, config.probing)
    with tempfile.TemporaryFile() as frames, tempfile.TemporaryFile() as tiny:
        part = decode_part(path, video, config.decoding, Segment(), frames, tiny)
        frames.seek(0)
        data = frames.read()
    found = {part.first + i: data[at : at + size] for i, (at, size) in enumerate(part.places.tolist())}
    return Stored(found, timeline_of(video, part, config.stored))


def packed(path: Path, tmp_path: Path, **update: object) -> Pack:
    config = CONFIG.model_copy(update=update)
    return pack_video(path, config, tmp_path / "dataset")


def reasons(pack: Pack) -> set[str]:
    return {reject.reason for reject in pack.rejects}


@pytest.fixture(scope="module")
def clean(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real video as H.264 with B-frames, a keyframe a second and its index in front, about 5 MB."""
    path = tmp_path_factory.mktemp("clean") / "clean.mp4"
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-qp", "10", "-g", "30", "-movflags", "+faststart"]
    source = ["-t", str(SECONDS), "-i", str(real_videos / "people_768f.mp4"), "-c:a", "aac"]
    subprocess.run([binary(), "-nostdin", "-v", "error", *source, *encode, str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def truth(clean: Path) -> Stored:
    found = stored(clean)
    assert not found.timeline.damage.any()
    assert len(found.frames) == SECONDS * 10
    return found


def flipped(data: bytes, count: int) -> bytes:
    rng = random.Random(3)
    start = data.index(b"mdat") + 64
    broken = bytearray(data)
    for place in rng.sample(range(start, len(data)), count):
        broken[place] ^= rng.randrange(1, 256)
    return bytes(broken)


def zeroed(data: bytes, count: int) -> bytes:
    start = len(data) // 3
    return data[:start] + bytes(count) + data[start + count :]


@pytest.mark.parametrize(
    ("kind", "least_sound", "most_sound"),
    [("half", 0.35, 0.6), ("flipped 2000", 0.0, 0.1), ("flipped 5", 0.5, 0.96), ("zeroed", 0.3, 0.85)],
)
def test_all_that_is_kept_of_a_broken_video_is_what_the_whole_one_shows(
    kind: str, least_sound: float, most_sound: float, clean: Path, truth: Stored, tmp_path: Path
) -> None:
    data = clean.read_bytes()
    assert len(data) > 4_000_000
    broken = {
        "half": lambda: data[: len(data) // 2],
        "flipped 2000": lambda: flipped(data, 2000),
        "flipped 5": lambda: flipped(data, 5),
        "zeroed": lambda: zeroed(data, 2_000_000),
    }[kind]()
    path = tmp_path / "broken.mp4"
    path.write_bytes(broken)
    found = stored(path)
    sound = found.sound()
    wrong = [time for time, frame in sound.items() if truth.frames.get(time) != frame]
    assert wrong == []
    assert least_sound <= len(sound) / len(truth.frames) <= most_sound

    pack = packed(path, tmp_path)
    assert reasons(pack) & {"corrupt", "frames_lost"}
    assert pack.source.frames_expected == SECONDS * 30
    damaged = [(r.start_s or 0.0, r.end_s or 0.0) for r in pack.rejects if r.reason == "corrupt"]
    for clip, _ in pack.clips:
        assert not any(start < clip.end_s - 1e-6 and end > clip.start_s + 1e-6 for start, end in damaged)
    kept = sum(clip.frames for clip, _ in pack.clips)
    assert kept >= 0.5 * len(sound)


def test_frames_lost_in_the_middle_are_a_gap_not_a_still(clean: Path, truth: Stored, tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(zeroed(clean.read_bytes(), 2_000_000))
    pack = packed(path, tmp_path)
    assert pack.source.frames_decoded + pack.source.frames_corrupt < pack.source.frames_expected * 1.05
    assert pack.source.frames_decoded < pack.source.frames_expected
    [gap] = [reject for reject in pack.rejects if reject.reason == "corrupt"]
    assert gap.stage == "decode"
    assert gap.start_s is not None and gap.end_s is not None
    assert 1 < gap.end_s - gap.start_s < 9
    assert "frames_lost" in reasons(pack)
    before = [clip for clip, _ in pack.clips if clip.end_s <= gap.start_s + 1e-6]
    after = [clip for clip, _ in pack.clips if clip.start_s >= gap.end_s - 1e-6]
    assert before and after


NOTHING = {
    "empty": (lambda data: b"", "probe", "empty"),
    "html": (lambda data: b"<!doctype html><title>404</title><p>not found</p>" * 50, "probe", "not_a_video"),
    "no moov": (lambda data: data[: data.index(b"moov") - 4] + data[data.index(b"mdat") - 4 :], "probe", "not_a_video"),
    "all zero": (lambda data: bytes(100_000), "probe", "not_a_video"),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_what_is_no_video_is_one_row_with_its_reason(kind: str, clean: Path, tmp_path: Path) -> None:
    make, stage, reason = NOTHING[kind]
    path = tmp_path / "file.mp4"
    path.write_bytes(make(clean.read_bytes()))
    pack = packed(path, tmp_path)
    assert pack.clips == ()
    assert [(reject.stage, reject.reason) for reject in pack.rejects] == [(stage, reason)]


def test_sound_without_pictures_is_no_video(clean: Path, tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    subprocess.run(
        [binary(), "-nostdin", "-v", "error", "-f", "lavfi", "-i", "sine=d=2", "-c:a", "aac", str(path)], check=True
    )
    pack = packed(path, tmp_path)
    assert [(reject.stage, reject.reason) for reject in pack.rejects] == [("probe", "no_video")]


def test_a_real_video_that_shows_two_frames_fewer_than_it_holds_says_so(real_videos: Path, tmp_path: Path) -> None:
    pack = packed(real_videos / "short_count_pillow.mp4", tmp_path)
    assert (pack.source.frames_expected, pack.source.frames_decoded, pack.source.frames_corrupt) == (149, 147, 0)
    [row] = [reject for reject in pack.rejects if reject.stage == "decode"]
    assert row.reason == "edited_out"
    assert "2 of 149" in row.detail
    assert sum(clip.frames for clip, _ in pack.clips) >= 70


def test_a_real_video_whose_last_frame_fails_loses_that_frame_alone(real_videos: Path, tmp_path: Path) -> None:
    pack = packed(real_videos / "decode_warnings_cinepak.avi", tmp_path)
    assert (pack.source.frames_expected, pack.source.frames_decoded, pack.source.frames_corrupt) == (69, 69, 1)
    assert pack.source.error_lines == 1
    [row] = [reject for reject in pack.rejects if reject.reason == "corrupt"]
    assert "cinepak" in row.detail
    assert sum(clip.frames for clip, _ in pack.clips) >= 100


def test_ffmpeg_alone_cannot_say_which_frames_are_sound_and_so_keeps_none(clean: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(flipped(clean.read_bytes(), 5))
    pack = packed(path, tmp_path, backend="ffmpeg")
    assert pack.clips == ()
    assert "corrupt" in reasons(pack)
    assert packed(path, tmp_path, backend="pyav").clips


def test_a_decoder_that_hangs_or_grows_is_stopped(clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.ingest.video import part

    tight = {"memory": part.Limits(60, 10 << 20), "deadline": part.Limits(0.0, 1 << 40)}
    for reason, limits in tight.items():
        with monkeypatch.context() as patch:
            patch.setattr(part, "Limits", lambda seconds, size, limits=limits: limits)
            pack = packed(clean, tmp_path / reason)
        assert pack.clips == ()
        assert [(reject.stage, reject.reason) for reject in pack.rejects] == [("decode", reason)]


@pytest.mark.parametrize("name", CLEAN)
def test_both_backends_give_the_same_frames_at_the_same_times(name: str, real_videos: Path) -> None:
    import simplejpeg

    pyav, ffmpeg = (stored(real_videos / name, backend) for backend in ("pyav", "ffmpeg"))
    np.testing.assert_array_equal(pyav.timeline.times, ffmpeg.timeline.times)
    assert pyav.frames.keys() == ffmpeg.frames.keys()
    assert not pyav.timeline.damage.any()
    assert not ffmpeg.timeline.damage.any()
    for number, frame in pyav.frames.items():
        one, other = (simplejpeg.decode_jpeg(data).astype(np.float64) for data in (frame, ffmpeg.frames[number]))
        error = ((one - other) ** 2).mean()
        assert error == 0 or 10 * np.log10(255**2 / error) >= 40
