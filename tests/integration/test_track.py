"""`sstrack track` on folders, videos, streams and wrong input, as a person types it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from pipelines.frames import read_clip
from tests.factories import write_package, write_sequences

SSTRACK = str(Path(sys.executable).with_name("sstrack"))
BOX = "10,20,24,24"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "package"
    write_package(folder)
    return folder


def track(*words: object, cwd: Path, package: Path, **options) -> subprocess.CompletedProcess[str]:
    command = [SSTRACK, "track", *map(str, words), "--model", str(package)]
    environment = {**os.environ, "SSTRACK_WORK": str(cwd / "work"), "DISPLAY": ""}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, **options)


def rows(path: Path) -> list[list[float]]:
    return [[float(word) for word in line.split(",")] for line in path.read_text().splitlines()]


def test_frames_of_a_folder_are_streamed_written_and_rendered(tmp_path: Path, package: Path) -> None:
    write_sequences(tmp_path / "root", {"one": 4})
    done = track(
        "root/one", "--box", BOX, "--box", "30,30,20,16", "--render", "out.mp4", "--json", cwd=tmp_path, package=package
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3]
    assert lines[0]["targets"][1] == {"box": [30, 30, 20, 16], "score": 1.0, "absent": False}
    written = [rows(tmp_path / f"boxes.{n}.txt") for n in (1, 2)]
    for target in (0, 1):
        assert written[target] == [line["targets"][target]["box"] for line in lines]
    plain, drawn = list(read_clip(tmp_path / "root/one")), list(read_clip(tmp_path / "out.mp4"))
    assert len(drawn) == 4
    for picture, with_boxes in zip(plain, drawn, strict=True):
        even = picture[: with_boxes.shape[0], : with_boxes.shape[1]].astype(int)
        assert (np.abs(even - with_boxes.astype(int)).max(axis=2) > 60).mean() > 0.005
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["out.mp4"]


def test_a_video_keeps_its_rate_and_a_stream_gives_the_same_boxes(
    tmp_path: Path, package: Path, real_videos: Path
) -> None:
    video = real_videos / "nasa_13013.mp4"
    stream = tmp_path / "short.mkv"
    with av.open(str(video)) as source, av.open(str(stream), "w") as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is None or number == 12:
                break
            packet.stream = copied
            target.mux(packet)
    words = ("--box", "100,60,40,40", "--set", "memory=1")
    named = track(stream, *words, "--out", "a.txt", "--render", "a.mp4", cwd=tmp_path, package=package)
    assert named.returncode == 0, named.stderr
    assert "frames at" in named.stdout
    with stream.open("rb") as file:
        piped = track("-", *words, "--out", "b.txt", cwd=tmp_path, package=package, stdin=file)
    assert piped.returncode == 0, piped.stderr
    assert rows(tmp_path / "a.txt") == rows(tmp_path / "b.txt") and len(rows(tmp_path / "a.txt")) >= 10
    with av.open(str(video)) as source, av.open(str(tmp_path / "a.mp4")) as rendered:
        assert rendered.streams.video[0].average_rate == source.streams.video[0].average_rate


def test_ctrl_c_on_a_stream_writes_what_was_seen(tmp_path: Path, package: Path) -> None:
    command = [SSTRACK, "track", "-", "--box", BOX, "--model", str(package), "--json"]
    environment = {**os.environ, "SSTRACK_WORK": str(tmp_path / "work")}
    picture = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        with av.open(process.stdin, "w", format="mpegts") as endless:
            stream = endless.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            for number in range(200):
                frame = av.VideoFrame.from_ndarray(np.roll(picture, number, 1), format="rgb24")
                endless.mux(stream.encode(frame))
        process.stdin.flush()  # open still: for the tracker the stream goes on
        assert json.loads(process.stdout.readline())["frame"] == 0
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 0, process.stderr.read()
    seen = 1 + len(rest.splitlines())
    assert len(rows(tmp_path / "boxes.txt")) == seen


def test_wrong_input_is_one_sentence_and_writes_nothing(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sequences(tmp_path / "root", {"one": 3})
    odd = tmp_path / "odd"
    odd.mkdir()
    for number, path in enumerate(sorted((tmp_path / "root/one").rglob("*.png"))):
        (odd / f"{number}.png").write_bytes(path.read_bytes() if number < 2 else b"no picture")
    cases = [
        (("root/one",), 2, "--box x,y,w,h"),
        (("root/one", "--pick"), 2, "display"),
        (("-", "--pick"), 2, "opened twice"),
        (("root/one", "--box", "5000,5,10,10"), 1, "outside the"),
        (("root/one", "--box", "1,2,3"), 2, "expected x,y,w,h"),
        (("root/one", "--box", "1,2,nan,4"), 2, "finite"),
        (("root/one", "--box", BOX, "--set", "memori=1"), 2, "Known options"),
        (("root/one", "--box", BOX, "--render", "out.txt"), 1, "ends in .mp4"),
        (("nowhere", "--box", BOX), 1, "nowhere"),
        (("camera:x", "--box", BOX), 1, "expected a number"),
        (("odd", "--box", BOX), 1, "2 frames were tracked, nothing is written"),
    ]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", "")
    for words, code, text in cases:
        done = CliRunner().invoke(app, ["track", *words, "--model", str(package)])
        assert (done.exit_code, done.stderr.count("sstrack: ")) == (code, 1), (words, done.stderr)
        assert text in done.stderr, (words, done.stderr)
    assert not list(tmp_path.glob("*.txt")) and not list(tmp_path.glob("*.mp4"))
