"""Untrusted files: neither backend follows a playlist, reads a name as anything but a name, or exceeds its limits."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.pack import Pack, read_pack
from pipelines.ingest.state.workspace import Workspace
from pipelines.ingest.video.cut import pack_source
from pipelines.ingest.video.decoding.ffmpeg_backend import binary
from pipelines.ingest.video.part import Segment, make_task
from pipelines.ingest.video.probe import Probe, probe
from tests.factories import local_source, pack_video

SMALL = IngestConfig(long_side=96, min_frames=10)
SCRIPTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{name}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {name}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{name}</BaseURL></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


def packed(path: Path, folder: Path, config: IngestConfig = SMALL) -> Pack:
    return pack_video(path, config, folder / "dataset")


@pytest.mark.parametrize("backend", ["pyav", "ffmpeg"])
@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_local_script_named_mp4_is_refused_by_the_probe_and_by_each_backend(
    kind: str, backend: str, real_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(real_videos / "action.avi", tmp_path / "video.avi")
    script = tmp_path / "list.mp4"
    script.write_text(SCRIPTS[kind].format(name="video.avi"))
    config = SMALL.model_copy(update={"backend": backend})
    [row] = packed(script, tmp_path / "probed", config).rejects
    assert (row.stage, row.reason) == ("probe", "not_a_video")

    # the backend alone, as if the file had been changed after the probe
    video: Probe = probe(tmp_path / "video.avi", config.probing)
    monkeypatch.chdir(tmp_path)
    pack = pack_source(local_source(script), video, config, Workspace.of(str(tmp_path / "decoded")))
    [row] = read_pack(pack).rejects
    assert row.stage == "decode"


@pytest.mark.parametrize(
    "name",
    [
        b"-i.avi",
        b'it\'s "quoted".avi',
        b"new\nline.avi",
        b"%03d.avi",
        b"pipe:0",
        b"http:",
        b"concat:a|b",
        b"\xff\xfe.avi",
    ],
)
@pytest.mark.parametrize("backend", ["pyav", "ffmpeg"])
def test_a_name_is_only_a_name(name: bytes, backend: str, real_videos: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name)
    try:
        shutil.copy(real_videos / "big_buck_bunny.wmv", path)
    except OSError:
        pytest.skip("this file system does not take such a name")
    pack = packed(path, tmp_path, SMALL.model_copy(update={"backend": backend}))
    assert pack.source.frames_decoded == 125
    assert pack.source.frames_corrupt == 0


def test_no_decoder_is_told_the_name_or_runs_in_a_shell(real_videos: Path) -> None:
    from pipelines.ingest.video.decoding.decode import pyav_order
    from pipelines.ingest.video.decoding.ffmpeg_backend import ffmpeg_command

    task = make_task(probe(real_videos / "action.avi", SMALL.probing), SMALL.stored, Segment())
    command = ffmpeg_command(task, 3, 4, 5)
    assert "file:/dev/fd/3" in command
    for words in (command, str(pyav_order(task)).split()):
        assert "action.avi" not in " ".join(words)
        assert any("protocol_whitelist" in word for word in words)
        assert any("format_whitelist" in word for word in words)


@pytest.mark.parametrize("backend", ["pyav", "ffmpeg"])
def test_a_stream_that_grows_past_the_limit_is_not_decoded(backend: str, tmp_path: Path) -> None:
    parts = []
    for number, size in enumerate(("128x96", "1280x720")):
        part = tmp_path / f"{number}.ts"
        source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration=2", "-c:v", "mpeg2video"]
        subprocess.run([binary(), "-nostdin", "-v", "error", *source, str(part)], check=True)
        parts.append(part.read_bytes())
    path = tmp_path / "grows.ts"
    path.write_bytes(b"".join(parts))
    pack = packed(path, tmp_path, SMALL.model_copy(update={"backend": backend, "max_pixels": 200 * 200}))
    assert pack.source.frames_decoded <= 60
    assert any(reject.stage in ("decode", "probe") for reject in pack.rejects)
