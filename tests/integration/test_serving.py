"""`sstrack serve` as callers meet it: a real server on loopback, the model that ships, real video."""

import base64
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from pipelines import storage
from pipelines.frames import read_clip
from pipelines.serving.refusals import Refusal
from pipelines.serving.sources import ServedRoots
from pipelines.tracking.follow import FollowedFrame, follow
from sstrack.pretrained import PRETRAINED
from tests.factories import write_package
from tests.s3 import S3Server

SSTRACK = str(Path(sys.executable).with_name("sstrack"))
TOKEN = "t0ken/with+signs=="
BOX = (100.0, 60.0, 40.0, 40.0)
START = json.dumps({"type": "start", "box": BOX})
WITHIN = 0.02
"""Pixels and scores by which a batch may differ from one by one, as of `BatchedTracker`."""


@dataclass(frozen=True)
class Server:
    """A running `sstrack serve`."""

    process: subprocess.Popen[str]
    port: int
    token: str
    root: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of a POST, or of a GET where there is no body."""
        shown = self.headers if headers is None else headers
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.request("GET" if body is None else "POST", path, body, shown)
            response = connection.getresponse()
            return response.status, response.read()

    def refusal(self, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Status, reason and sentence of a request that is not served."""
        status, text = self.ask(path, body, headers)
        said = json.loads(text)
        assert said["status"] == status and "\n" not in said["error"] and "Traceback" not in said["error"]
        return status, said["reason"], said["error"]

    def live(self, **options: Any) -> ClientConnection:
        options.setdefault("additional_headers", self.headers)
        return connect(f"ws://127.0.0.1:{self.port}/live", **options)

    def metric(self, name: str) -> float:
        """The sum of all samples of this name, labels included where given."""
        _, text = self.ask("/metrics")
        rows = (line.rpartition(" ") for line in text.decode().splitlines() if line.startswith(name))
        return sum(float(value) for _, _, value in rows)

    def wait_until_empty(self) -> None:
        """Until nobody is served any more."""
        until = time.monotonic() + 30
        while self.metric("sstrack_sessions{"):
            assert time.monotonic() < until, "a session is still held"
            time.sleep(0.05)


@contextmanager
def serving(folder: Path, *words: str, token: str = "") -> Iterator[Server]:
    environment = {**os.environ, "SSTRACK_WORK": str(folder / "work"), "SSTRACK_TOKEN": token}
    command = [SSTRACK, "serve", *words, "--port", "0", "--root", str(folder / "served")]
    (folder / "served").mkdir()
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("serving "), (folder / "log").read_text()
            port = int(said.split("http://127.0.0.1:")[1].split()[0])
            yield Server(process, port, token, folder / "served")
            if process.poll() is None:
                status, _ = Server(process, port, token, folder).ask("/health")
                assert status == 200
            assert "Traceback" not in (folder / "log").read_text()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = (
        "sessions=4",
        "upload_bytes=1000000",
        "frame_bytes=300000",
        "frame_pixels=150000",
        "frames=60",
        "seconds=9",
    )
    words = [word for limit in limits for word in ("--limit", limit)]
    with serving(tmp_path_factory.mktemp("server"), *words, token=TOKEN) as running:
        yield running
        running.wait_until_empty()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a tiny network without a token, that lets nobody idle."""
    folder = tmp_path_factory.mktemp("plain")
    write_package(folder / "package")
    with serving(folder, str(folder / "package"), "--limit", "idle_s=1.5") as running:
        yield running


@pytest.fixture(scope="module")
def clip(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of a real street."""
    return cut(real_videos / "street_426x240.mp4", tmp_path_factory.mktemp("clip") / "clip.mp4", 10)


def cut(video: Path, out: Path, packets: int) -> Path:
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is None or number == packets:
                break
            packet.stream = copied
            target.mux(packet)
    return out


def query(box: tuple[float, ...] = BOX, **more: str) -> str:
    return "/track?" + "&".join(f"{name}={value}" for name, value in {"box": ",".join(map(str, box)), **more}.items())


def coded(frame: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, kind)
    return buffer.getvalue()


def test_an_uploaded_video_gets_exactly_the_boxes_that_track_writes(server: Server, clip: Path, tmp_path: Path) -> None:
    rows: list[FollowedFrame] = []
    follow(PRETRAINED, str(clip), [BOX], tmp_path / "boxes.txt", each=rows.append)
    expected = [row.as_dict()["targets"][0] for row in rows]
    frames = server.metric('sstrack_frames_total{way="upload"}')
    status, text = server.ask(query(), clip.read_bytes())
    answer = json.loads(text)
    assert status == 200, answer
    assert answer["boxes"] == [one["box"] for one in expected] and len(expected) > 5
    assert answer["scores"] == [one["score"] for one in expected] and not any(answer["absent"])
    assert (answer["frames"], answer["width"], answer["height"]) == (len(rows), 426, 240)
    assert answer["model"] == PRETRAINED and len(answer["tracker"]) == 16
    assert answer["seconds"][0] == 0 and answer["seconds"][1] == pytest.approx(1 / 30, abs=1e-3)
    assert (np.diff(answer["seconds"]) > 0).all()
    assert server.metric('sstrack_frames_total{way="upload"}') == frames + len(rows)

    (server.root / "there.mp4").write_bytes(clip.read_bytes())
    asked = json.dumps({"uri": str(server.root / "there.mp4"), "box": BOX})
    status, text = server.ask("/track/uri?lines=true", asked)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["box"] for line in lines[:-1]] == answer["boxes"]
    assert [line["seconds"] for line in lines[:-1]] == answer["seconds"]
    assert lines[-1] == {name: answer[name] for name in ("model", "tracker", "frames", "width", "height")}


def follow_live(server: Server, pictures: list[bytes]) -> list[list[float]]:
    """One session, all of whose frames are sent before the first answer is read."""
    with server.live() as line:
        line.send(START)
        for picture in pictures:
            line.send(picture)
        line.send('{"type": "end"}')
        said = [json.loads(line.recv(timeout=120)) for _ in range(len(pictures) + 1)]
    assert said[-1] == {"ended": True, "frames": len(pictures)}
    assert [one["frame"] for one in said[:-1]] == list(range(len(pictures)))
    return [[*one["box"], one["score"]] for one in said[:-1]]


def test_sessions_at_once_equal_single_ones_and_share_batches(server: Server, real_videos: Path) -> None:
    frames = [frame for _, frame in zip(range(21), read_clip(real_videos / "street_426x240.mp4"), strict=False)]
    films = [[coded(frame, "JPEG") for frame in frames[start : start + 7]] for start in (0, 7, 14)]
    alone = [follow_live(server, film) for film in films]
    calls, single = (server.metric(f"sstrack_batch_size_{name}") for name in ("count", 'bucket{le="1.0"}'))
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda film: follow_live(server, film), films))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other, one, atol=WITHIN)
    assert len({json.dumps(one) for one in alone}) == 3
    batches = server.metric("sstrack_batch_size_count") - calls
    assert server.metric('sstrack_batch_size_bucket{le="1.0"}') - single < batches < 21


def test_a_connection_serves_one_session_after_another(server: Server, clip: Path) -> None:
    picture = coded(next(read_clip(clip)))
    with server.live() as line:
        for _ in range(2):
            line.send(START)
            line.send(picture)
            assert json.loads(line.recv()) == {"frame": 0, "box": list(BOX), "score": 1.0, "absent": False}
            line.send('{"type": "end"}')
            assert json.loads(line.recv()) == {"ended": True, "frames": 1}


def test_each_limit_refuses_with_its_status(server: Server, clip: Path, real_videos: Path, tmp_path: Path) -> None:
    refused = server.metric("sstrack_refusals_total")
    large = bytes(1_000_001)
    assert server.refusal(query(), large)[:2] == (413, "bytes")
    pieces = (large[at : at + 65536] for at in range(0, len(large), 65536))  # chunked, so that no length is stated
    assert server.refusal(query(), pieces)[:2] == (413, "bytes")
    wide = cut(real_videos / "people_768f.mp4", tmp_path / "wide.mp4", 3)
    status, reason, text = server.refusal(query(), wide.read_bytes())
    assert (status, reason) == (413, "pixels") and "at most 150000 pixels" in text
    many = cut(real_videos / "street_426x240.mp4", tmp_path / "many.mp4", 70)
    assert server.refusal(query(), many.read_bytes())[:2] == (413, "frames")
    long = tmp_path / "long.mp4"
    encode(long, frames=20, rate=2)
    assert server.refusal(query(), long.read_bytes())[:2] == (413, "seconds")
    assert server.metric("sstrack_refusals_total") == refused + 5

    picture = coded(next(read_clip(clip)))
    with ExitStack() as open_now:
        lines = [open_now.enter_context(server.live()) for _ in range(4)]
        for line in lines:
            line.send(START)
            line.send(picture)
            assert json.loads(line.recv(timeout=60))["frame"] == 0
        status, reason, text = server.refusal(query(), clip.read_bytes())
        assert (status, reason) == (429, "sessions") and "4 places" in text
        with pytest.raises(InvalidStatus) as full:
            server.live()
        assert full.value.response.status_code == 429
    server.wait_until_empty()
    assert ended(server, START, coded(np.zeros((400, 400, 3), np.uint8)))[:2] == (4413, "pixels")
    noise = np.random.default_rng(0).integers(0, 255, (350, 350, 3), dtype=np.uint8)
    assert ended(server, START, coded(noise))[:2] == (4413, "bytes")


def encode(path: Path, frames: int, rate: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((120, 160, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())


def ended(server: Server, *messages: str | bytes) -> tuple[int, str, str]:
    """Close code, reason and sentence of a session that these messages end."""
    with server.live() as line:
        for message in messages:
            line.send(message)
        while "error" not in (said := json.loads(line.recv(timeout=60))):
            pass
        with pytest.raises(ConnectionClosed):
            line.recv(timeout=60)
        code = line.close_code
        assert code is not None and code == 4000 + said["status"] and "\n" not in said["error"]
        assert line.close_reason and said["error"].startswith(line.close_reason)
        return code, said["reason"], said["error"]


def test_only_the_token_opens(server: Server, clip: Path) -> None:
    for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}, {"Authorization": TOKEN}):
        assert server.refusal(query(), clip.read_bytes(), wrong)[:2] == (401, "token")
        assert server.ask("/metrics", headers=wrong)[0] == 401
    assert server.ask("/health", headers={})[0] == server.ask("/", headers={})[0] == 200
    for offered in (None, [Subprotocol("sstrack"), Subprotocol("bearer.d3Jvbmc")], [Subprotocol("bearer.%")]):
        with pytest.raises(InvalidStatus) as refused:
            server.live(additional_headers={}, subprotocols=offered)
        assert refused.value.response.status_code == 401
    shown = base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")
    as_browsers_do = [Subprotocol("sstrack"), Subprotocol(f"bearer.{shown}")]
    with server.live(additional_headers={}, subprotocols=as_browsers_do) as line:
        assert line.subprotocol == "sstrack"


def test_without_a_token_pages_of_others_may_not_ask(plain: Server, clip: Path) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}):
        assert plain.refusal(query(), clip.read_bytes(), headers)[:2] == (403, "origin")
    with pytest.raises(InvalidStatus) as refused:
        plain.live(origin="http://evil.example")
    assert refused.value.response.status_code == 403
    own = {"Origin": f"http://127.0.0.1:{plain.port}"}
    assert plain.ask(query(), clip.read_bytes(), own)[0] == 200


def test_wrong_input_is_one_sentence_and_the_server_goes_on(server: Server, clip: Path) -> None:
    video = clip.read_bytes()
    status, reason, text = server.refusal(query(), b"no video at all" * 100)
    assert (status, reason) == (422, "video") and "the upload is not a video" in text and "/tmp" not in text
    assert server.refusal(query(), b"")[:2] == (422, "video")
    assert server.refusal(query(), video[: len(video) // 2])[:2] == (422, "video")
    assert server.refusal(query(), b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")[:2] == (422, "video")
    status, reason, text = server.refusal(query((900, 900, 9, 9)), video)
    assert (status, reason) == (422, "box") and "outside the 426x240 frame" in text
    for box in ("", "1,2,3", "a,b,c,d", "1,2,0,4", "nan,1,2,3"):
        assert server.refusal(f"/track?box={box}", video)[:2] == (422, "box")
    assert server.refusal(f"{query()}&lines=perhaps", video)[:2] == (422, "query")
    for words in (b"{", b"[]", b"\xff", b'{"uri": 3}', b'{"box": [1, 2, 3, 4]}'):
        assert server.refusal("/track/uri", words)[:2] == (422, "json")

    picture = coded(next(read_clip(clip)))
    assert ended(server, START, b"no picture")[:2] == (4422, "frame")
    assert ended(server, START, picture[: len(picture) // 2])[:2] == (4422, "frame")
    assert ended(server, START, picture, coded(np.zeros((50, 50, 3), np.uint8)))[:2] == (4422, "frame")
    assert ended(server, '{"type": "start", "box": [900, 900, 9, 9]}', picture)[:2] == (4422, "box")
    assert ended(server, '{"type": "start", "box": "all"}')[:2] == (4422, "box")
    assert ended(server, picture)[:2] == ended(server, START, START)[:2] == (4422, "order")
    assert ended(server, '{"type": "end"}')[:2] == (4422, "order")
    assert ended(server, "hello")[:2] == ended(server, '{"type": "stop"}')[:2] == (4422, "json")
    server.wait_until_empty()
    assert server.ask(query(), video)[0] == 200


def test_only_what_lies_under_the_served_folder_is_read(server: Server, clip: Path, tmp_path: Path) -> None:
    def asked(uri: str) -> tuple[int, str]:
        return server.refusal("/track/uri", json.dumps({"uri": uri, "box": BOX}))[:2]

    (server.root / "out.mp4").symlink_to(clip)
    for outside in (str(clip), f"file://{clip}", f"{server.root}/../log", str(server.root / "out.mp4")):
        assert asked(outside) == (403, "uri")
    assert asked(str(server.root / "nothing.mp4")) == (404, "uri")
    for other in ("http://127.0.0.1:1/v.mp4", "ftp://x/v.mp4", "concat:a|b", "relative.mp4", "/a\0b"):
        assert asked(other) == (422, "uri")


def test_videos_on_s3_are_fetched_and_may_be_kept_to_a_prefix(s3_server: S3Server, clip: Path) -> None:
    bucket = s3_server.url("served")
    storage.write_atomic(f"{bucket}/in/clip.mp4", clip.read_bytes())
    with ServedRoots([]).opened(f"{bucket}/in/clip.mp4", 10**6) as video:
        assert video.read_bytes() == clip.read_bytes()
    assert not video.exists()
    kept = ServedRoots([f"{bucket}/in"])
    for uri, most, status in (
        (f"{bucket}/in/none.mp4", 10**6, 404),
        (f"{bucket}/in/clip.mp4", 1000, 413),
        (f"{bucket}/inside/clip.mp4", 10**6, 403),
        ("/etc/passwd", 10**6, 403),
    ):
        with pytest.raises(Refusal) as refused, kept.opened(uri, most):
            pass
        assert refused.value.status == status


def test_a_vanished_client_frees_its_place(server: Server, clip: Path) -> None:
    picture = coded(next(read_clip(clip)))
    line = server.live()
    line.send(START)
    line.send(picture)
    line.recv(timeout=60)
    line.send(picture)
    assert server.metric("sstrack_sessions{") == 1
    line.socket.shutdown(socket.SHUT_RDWR)  # no goodbye
    server.wait_until_empty()
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        authorization = f"Authorization: Bearer {TOKEN}".encode()
        head = f"POST {query()} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n".encode() + authorization
        raw.sendall(head + b"\r\n\r\nthe beginning")
        until = time.monotonic() + 30
        while not server.metric("sstrack_sessions{") and time.monotonic() < until:
            time.sleep(0.02)
        assert server.metric("sstrack_sessions{") == 1
    server.wait_until_empty()
    assert server.metric('sstrack_refusals_total{reason="gone"') >= 2


def test_silence_ends_a_session(plain: Server, clip: Path) -> None:
    assert ended(plain, START, coded(next(read_clip(clip))))[:2] == (4408, "idle")
    plain.wait_until_empty()


def test_ctrl_c_tells_running_sessions_and_ends(plain: Server, clip: Path) -> None:
    """Last of those that share the server."""
    with plain.live() as line:
        line.send(START)
        line.send(coded(next(read_clip(clip))))
        assert json.loads(line.recv(timeout=60))["frame"] == 0
        plain.process.send_signal(signal.SIGINT)
        assert json.loads(line.recv(timeout=30))["reason"] == "stopping"
        with pytest.raises(ConnectionClosed):
            line.recv(timeout=30)
        assert line.close_code == 4503
    out, _ = plain.process.communicate(timeout=30)
    assert plain.process.returncode == 0 and out == "stopped\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "token"),
        (["--limit", "session=3"], "sessions"),
        (["--limit", "sessions=0"], "sessions=0"),
        (["--root", "/there/is/none"], "/there/is/none"),
        (["--token", " "], "--token"),
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    from cli.main import app

    done = CliRunner().invoke(app, ["serve", *words, "--port", "0"])
    assert done.exit_code == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
