"""Frames of a clip: videos and folders alike, and nothing that names other files."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipelines.frames import count_frames, read_clip
from pipelines.ingest.video.decoding.ffmpeg_backend import binary


def test_a_video_gives_all_its_frames_as_rgb(real_videos: Path) -> None:
    frames = list(read_clip(real_videos / "action.avi"))
    assert len(frames) == count_frames(real_videos / "action.avi") == 164
    assert all(frame.shape == (240, 320, 3) and frame.dtype == np.uint8 for frame in frames)


def test_packets_that_no_decoder_takes_are_skipped_with_a_warning_and_a_lost_end_is_an_error(
    real_videos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two, cut = tmp_path / "one.ogv", tmp_path / "two.ogv", tmp_path / "cut.ogv"
    source = ("-i", real_videos / "action.avi", "-frames:v", "48", "-an", "-c:v", "libtheora")
    subprocess.run([binary(), "-v", "error", *map(str, source), str(one)], check=True, stdin=subprocess.DEVNULL)
    data = one.read_bytes()
    two.write_bytes(data + data)  # the second half begins with headers where pictures are expected
    assert sum(1 for _ in read_clip(two)) == 2 * 48
    assert "packets cannot be decoded, their pictures are left out" in caplog.text
    cut.write_bytes(data + data[:6000])  # nothing but headers follows
    with pytest.raises(ValueError, match="cannot be decoded after frame 48"):
        list(read_clip(cut))


def test_a_folder_of_images_gives_them_by_name(shared: Path) -> None:
    folder = shared / "data/sequences/davis/car-shadow/img"
    assert len(list(read_clip(folder))) == count_frames(folder) > 10


def test_a_playlist_named_like_a_video_is_refused(real_videos: Path, tmp_path: Path) -> None:
    playlist = tmp_path / "clip.mp4"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{real_videos / 'action.avi'}\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(ValueError, match="is not a video that can be decoded"):
        next(read_clip(playlist))


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 100])
def test_a_file_that_is_no_video_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a video that can be decoded"):
        next(read_clip(path))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no image"):
        read_clip(tmp_path)
