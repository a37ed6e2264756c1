"""`sstrack track` on folders, videos, streams and wrong input, as a person types it."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from pipelines.errors import SSTrackError
from pipelines.frames import read_clip, read_image
from pipelines.tracking.ahead import read_ahead
from pipelines.tracking.follow import FollowedFrame, follow
from tests import seams
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
        (("root/one", "--box", BOX, "--show"), 2, "display"),
        (("root/one", "--box", BOX, "--device", "cuda:9"), 2, "CUDA devices here"),
        (("odd", "--box", BOX), 1, "2 frames were tracked, nothing is written"),
    ]
    damaged = tmp_path / "damaged"
    shutil.copytree(package, damaged)
    (damaged / "weights.safetensors").write_bytes(b"no weights")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", "")
    with pytest.raises(SSTrackError, match="does not hold the weights"):
        follow(str(damaged), "root/one", [(10, 20, 24, 24)], tmp_path / "boxes.txt")
    with monkeypatch.context() as without_compiler:
        without_compiler.setenv("PATH", str(tmp_path))
        without_compiler.delenv("CXX", raising=False)
        with pytest.raises(SSTrackError, match="needs a C\\+\\+ compiler"):
            follow(str(package), "root/one", [(10, 20, 24, 24)], tmp_path / "boxes.txt", fast=True)
    for words, code, text in cases:
        done = CliRunner().invoke(app, ["track", *words, "--model", str(package)])
        assert (done.exit_code, done.stderr.count("sstrack: ")) == (code, 1), (words, done.stderr)
        assert text in done.stderr, (words, done.stderr)
    assert not [path.name for path in tmp_path.iterdir() if path.suffix in (".txt", ".mp4", ".tmp")]


def test_footage_that_is_damaged_or_changes_is_one_sentence_and_writes_nothing(
    tmp_path: Path, package: Path, real_videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sequences(tmp_path / "root", {"one": 3})
    frames = sorted((tmp_path / "root/one").glob("*.png"))
    cv2.imwrite(str(frames[2]), read_image(frames[2])[:50])
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "nothing.mp4").touch()
    whole = (real_videos / "nasa_13013.mp4").read_bytes()
    (tmp_path / "head.mp4").write_bytes(whole[: len(whole) // 3])
    monkeypatch.chdir(tmp_path)
    for source, text in {
        "root/one": "frame 2 is 96x50, but the sequence began with 96x96",
        "empty": "no image (.jpg, .jpeg, .png, .bmp) in",
        "text.mp4": "not a video that can be decoded",
        "nothing.mp4": "not a video that can be decoded",
        "head.mp4": "not a video that can be decoded",
    }.items():
        done = CliRunner().invoke(
            app, ["track", source, "--box", BOX, "--model", str(package), "--render", "out.mp4", "--json"]
        )
        assert (done.exit_code, done.stderr.count("sstrack: ")) == (1, 1), (source, done.stderr)
        assert text in done.stderr, (source, done.stderr)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"root", "empty", "text.mp4", "nothing.mp4", "head.mp4"}


def test_a_video_that_breaks_off_is_tracked_as_far_as_it_decodes(
    tmp_path: Path, package: Path, real_videos: Path
) -> None:
    """MPEG-4 in AVI has no index at its end, so that a half download plays."""
    whole = (real_videos / "action.avi").read_bytes()
    (tmp_path / "half.avi").write_bytes(whole[: len(whole) // 2])
    done = follow(str(package), str(tmp_path / "half.avi"), [(60, 60, 40, 40)], tmp_path / "boxes.txt")
    assert 5 < done.frames < sum(1 for _ in read_clip(real_videos / "action.avi"))
    assert len(rows(tmp_path / "boxes.txt")) == done.frames


def test_gray_deep_and_transparent_frames_are_tracked_as_their_8_bit_colours(tmp_path: Path, package: Path) -> None:
    write_sequences(tmp_path, {"colour": 4})
    pictures = [read_image(path) for path in sorted((tmp_path / "colour").glob("*.png"))]
    kinds = {
        "deep": [picture.astype(np.uint16) * 257 for picture in pictures],
        "transparent": [np.dstack([picture, picture[..., :1]]) for picture in pictures],
        "gray": [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures],
        "gray three times": [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, 2) for picture in pictures],
    }
    found = {}
    for kind, frames in {"colour": pictures, **kinds}.items():
        (tmp_path / kind).mkdir(exist_ok=True)
        for number, frame in enumerate(frames):
            cv2.imwrite(str(tmp_path / kind / f"{number:04d}.png"), frame)
        out = tmp_path / f"{kind}.txt"
        follow(str(package), str(tmp_path / kind), [(10, 20, 24, 24)], out)
        found[kind] = rows(out)
    assert found["deep"] == found["transparent"] == found["colour"]
    assert found["gray"] == found["gray three times"] != found["colour"]


def test_ctrl_c_on_a_file_leaves_no_half_video_and_no_half_boxes(tmp_path: Path, package: Path) -> None:
    write_sequences(tmp_path / "root", {"one": 6})
    before = threading.active_count()

    def each(answer: FollowedFrame) -> None:
        if answer.frame == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(
            str(package), str(tmp_path / "root/one"), [(10, 20, 24, 24)] * 2, tmp_path / "boxes.txt",
            render=tmp_path / "out.mp4", each=each,
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["root"] and threading.active_count() == before


def test_a_watcher_that_has_seen_enough_ends_the_tracking_and_keeps_it(tmp_path: Path, package: Path) -> None:
    write_sequences(tmp_path / "root", {"one": 6})
    seen: list[np.ndarray] = []
    done = follow(
        str(package), str(tmp_path / "root/one"), [(10, 20, 24, 24)], tmp_path / "boxes.txt",
        watch=lambda frame: len(seen) < 3 and seen.append(frame) is None,
    )  # fmt: skip
    assert done.interrupted and done.frames == 4 == len(rows(tmp_path / "boxes.txt"))
    assert all(frame.shape == (96, 96, 3) for frame in seen)


def test_the_page_on_tracking_shows_python_that_runs(
    tmp_path: Path,
    package: Path,
    real_videos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).parents[2] / "docs/tracking.md").read_text()
    (tmp_path / "package").symlink_to(package)
    (tmp_path / "clip.mp4").symlink_to(real_videos / "clip_10s.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(seams.READ_CLIP, lambda path: itertools.islice(read_clip(path), 4))
    code = page.split("```python\n")[1].split("```")[0]
    exec(compile(code, "tracking.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_reading_ahead_keeps_order_errors_and_threads() -> None:
    assert list(read_ahead(iter(range(20)), 3)) == list(range(20))

    def breaks() -> Iterator[int]:
        yield 1
        raise ValueError("no second one")

    items = read_ahead(breaks())
    assert next(items) == 1
    with pytest.raises(ValueError, match="no second one"):
        next(items)
    before = threading.active_count()
    endless = read_ahead(itertools.count())
    assert [next(endless) for _ in range(3)] == [0, 1, 2] and threading.active_count() == before + 1
    endless.close()
    assert threading.active_count() == before
