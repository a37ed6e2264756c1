"""Black bars are cut off before anything is stored; dark pictures and clean ones keep their size."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from pipelines.dataset.manifest import load_manifest, read_clips
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from pipelines.ingest.video.probe import probe

EDITS = {
    "letterbox": ("scale=640:360,pad=640:480:0:60", (640, 360)),
    "pillarbox": ("scale=480:360,setsar=1,pad=640:360:80:0", (480, 360)),
    "turned": ("scale=640:360,pad=640:480:0:60,transpose=1", (360, 640)),
    "clean": ("scale=640:360", (640, 360)),
}


def edited(source: Path, edit: str, out: Path) -> Path:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source), "-vf", edit, "-t", "4", "-an"]
    subprocess.run([*command, "-preset", "veryfast", str(out)], check=True, timeout=120)
    return out


@pytest.mark.parametrize("kind", EDITS)
def test_bars_are_cut_off_and_nothing_else(kind: str, real_videos: Path, tmp_path: Path) -> None:
    edit, size = EDITS[kind]
    found = probe(edited(real_videos / "02_cups.mp4", edit, tmp_path / "video.mp4"), IngestConfig().probing)
    assert found.width == pytest.approx(size[0], abs=4)
    assert found.height == pytest.approx(size[1], abs=4)
    assert (found.bar_share > 0) == (kind != "clean")


def test_no_bars_are_seen_in_clean_and_in_dark_real_video(real_videos: Path) -> None:
    for name in ("01_dog.mp4", "nasa_13013.mp4", "action.avi"):
        assert probe(real_videos / name, IngestConfig().probing).bar_share == 0, name


@pytest.mark.parametrize("backend", ["pyav", "ffmpeg"])
def test_stored_frames_are_the_picture_alone(backend: str, real_videos: Path, tmp_path: Path) -> None:
    video = edited(real_videos / "02_cups.mp4", EDITS["letterbox"][0], tmp_path / "video.mp4")
    ingest([str(video)], str(tmp_path / "dataset"), IngestConfig.model_validate({"backend": backend}), workers=0)
    out = str(tmp_path / "dataset")
    for clip in read_clips(out, load_manifest(out)).to_pylist():
        assert (clip["width"], clip["height"]) == pytest.approx((640, 360), abs=4)
        assert clip["bars"] == pytest.approx(0.25, abs=0.01)


def test_bars_stay_where_they_are_asked_to(real_videos: Path, tmp_path: Path) -> None:
    video = edited(real_videos / "02_cups.mp4", EDITS["letterbox"][0], tmp_path / "video.mp4")
    assert probe(video, IngestConfig(crop_bars=False).probing).height == 480
