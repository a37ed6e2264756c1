"""What serving costs beside the bare tracker, on the same frames and in one run.

    python bench/serving.py [VIDEO] [--box 130,100,46,58] [--frames 30] [--sessions 8] [--model pretrained]

VIDEO (default: `$SSTRACK_SHARED/data/videos/clip_10s.mp4`, 854x480) is cut to its first frames. `bare` decodes and
steps them in this process. Then `sstrack serve` runs as a process of its own, and gets them as one upload, as JPEG
over one WebSocket, and over several at once; `in step` sends a frame when the last one is answered, as a camera would,
`ahead` sends without waiting. `of bare` is a row's frames/s over bare's. `CPU` is milliseconds of CPU time that the
server's process took for a frame, and `of bare` behind it bare's over that: other work on the machine changes the first
ratio more than the second. `p50` and `p95` are milliseconds from a frame's sending to its answer. `batch` is the mean
number of sessions in a call of the network, and the largest bucket that was reached.
"""

import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import psutil
from PIL import Image
from websockets.asyncio.client import ClientConnection, connect

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.frames import read_clip
from pipelines.tracking.load import load_tracker

Box = tuple[float, ...]
HEADINGS = ("", "frames/s", "of bare", "CPU", "of bare", "p50", "p95", "batch")


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock and of CPU, per frame."""

    clock: float
    cpu: float


@dataclass(frozen=True)
class Batches:
    """Calls of the network as Prometheus counts them."""

    frames: float
    """In all of them."""
    up_to: dict[float, float]
    """Calls for at most so many sessions."""


@dataclass(frozen=True)
class Server:
    """A running `sstrack serve`."""

    process: psutil.Process
    address: str
    """Host and port."""

    def cpu(self) -> float:
        """Seconds of CPU time so far."""
        spent = self.process.cpu_times()
        return spent.user + spent.system

    def batches(self) -> "Batches":
        """Calls of the network so far."""
        with urllib.request.urlopen(f"http://{self.address}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        found = {
            float(line.split('le="')[1].split('"')[0]): float(line.split()[-1])
            for line in lines
            if line.startswith("sstrack_batch_size_bucket")
        }
        [total] = [float(line.split()[-1]) for line in lines if line.startswith("sstrack_batch_size_sum")]
        return Batches(total, found)


@contextmanager
def serving(model: str, device: str) -> Iterator[Server]:
    """`sstrack serve` on a free port."""
    command = [str(Path(sys.executable).with_name("sstrack")), "serve", model, "--port", "0", "--device", device]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield Server(psutil.Process(process.pid), line.split("http://")[1].split()[0])
        finally:
            process.terminate()


def cut(video: Path, out: Path, frames: int) -> None:
    """The first frames of a video, its packets as they are."""
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is None or number == frames:
                break
            packet.stream = copied
            target.mux(packet)


def bare(model: str, device: str, clip: Path, box: Box) -> Cost:
    """The tracker in this process, decoding included."""
    tracker = load_tracker(model, device=device)
    for _ in range(2):  # the first round warms up
        began, cpu = time.perf_counter(), time.process_time()
        frames = read_clip(clip)
        state, count = tracker.start(next(frames), box), 1
        for frame in frames:
            state, _ = tracker.step(state, frame)
            count += 1
    return Cost((time.perf_counter() - began) / count, (time.process_time() - cpu) / count)


def upload(server: Server, clip: Path, box: Box) -> int:
    """Frames that were answered."""
    address = f"http://{server.address}/track?box={','.join(map(str, box))}"
    with urllib.request.urlopen(urllib.request.Request(address, clip.read_bytes(), method="POST")) as answer:
        return json.load(answer)["frames"]


async def live(server: Server, pictures: list[bytes], box: Box, ahead: bool) -> list[float]:
    """Seconds from each frame's sending to its answer, in one session."""
    async with connect(f"ws://{server.address}/live", compression=None, ping_interval=None) as line:
        await line.send(json.dumps({"type": "start", "box": box}))
        sent: list[float] = []
        sending = asyncio.create_task(_send(line, pictures, sent)) if ahead else None
        took = []
        for number, picture in enumerate(pictures):
            if sending is None:
                sent.append(time.perf_counter())
                await line.send(picture)
            answer = json.loads(await line.recv())
            assert answer["frame"] == number, answer
            took.append(time.perf_counter() - sent[number])
        return took


async def _send(line: ClientConnection, pictures: list[bytes], sent: list[float]) -> None:
    for picture in pictures:
        sent.append(time.perf_counter())
        await line.send(picture)


async def lives(server: Server, pictures: list[bytes], box: Box, ahead: bool, count: int) -> list[float]:
    """The same of several sessions at once."""
    every = await asyncio.gather(*(live(server, pictures, box, ahead) for _ in range(count)))
    return [seconds for one in every for seconds in one]


def row(name: str, frames: int, server: Server, reference: Cost, doing: "list[float] | None", since: "Since") -> None:
    """Print what `frames` frames cost since."""
    clock, cpu = (time.perf_counter() - since.clock) / frames, (server.cpu() - since.cpu) / frames
    after = server.batches()
    grown = {size: count - since.batches.up_to[size] for size, count in after.up_to.items()}
    calls = grown[float("inf")]
    largest = min(size for size, count in grown.items() if count == calls)
    times = [1e3 * value for value in np.percentile(doing, (50, 95))] if doing else []
    cells = [f"{1 / clock:.1f}", f"{reference.clock / clock:.2f}", f"{1e3 * cpu:.1f}", f"{reference.cpu / cpu:.2f}"]
    cells += [f"{value:.0f}" for value in times] or ["–", "–"]
    cells.append(f"{(after.frames - since.batches.frames) / calls:.1f}, ≤ {largest:g}")
    print(f"{name:28}" + "".join(f"{cell:>10}" for cell in cells), flush=True)


@dataclass(frozen=True)
class Since:
    """Where the counts stood."""

    clock: float
    cpu: float
    batches: Batches

    @classmethod
    def now(cls, server: Server) -> "Since":
        return cls(time.perf_counter(), server.cpu(), server.batches())


def main() -> None:
    default = Path(os.environ.get("SSTRACK_SHARED", "../shared")) / "data/videos/clip_10s.mp4"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", default=default, type=Path)
    parser.add_argument("--box", default="130,100,46,58")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    box = tuple(float(word) for word in args.box.split(","))
    with tempfile.TemporaryDirectory() as folder, serving(args.model, args.device) as server:
        clip = Path(folder) / f"clip{args.video.suffix}"
        cut(args.video, clip, args.frames)
        pictures = []
        for frame in read_clip(clip):
            buffer = io.BytesIO()
            Image.fromarray(frame).save(buffer, "JPEG", quality=90)
            pictures.append(buffer.getvalue())
        upload(server, clip, box)  # warms up
        reference = bare(args.model, args.device, clip, box)
        print(f"{args.video.name}, {len(pictures)} frames; milliseconds")
        print(f"{'':28}" + "".join(f"{title:>10}" for title in HEADINGS[1:]))
        print(f"{'bare':28}{1 / reference.clock:10.1f}{1:10.2f}{1e3 * reference.cpu:10.1f}{1:10.2f}", flush=True)
        since = Since.now(server)
        row("upload", upload(server, clip, box), server, reference, None, since)
        for count in (1, args.sessions):
            for ahead in (False, True):
                since = Since.now(server)
                took = asyncio.run(lives(server, pictures, box, ahead, count))
                name = f"{count} live session{'s' * (count > 1)}, {'ahead' if ahead else 'in step'}"
                row(name, len(took), server, reference, took, since)


if __name__ == "__main__":
    main()
