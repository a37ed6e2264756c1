"""One pass over a video with ffmpeg: tiny luma frames at full rate, frame times, and the frames to be stored.

ffmpeg runs in its own process group under a deadline, with one decoder thread, and may open local video containers
only. Each of its outputs, the error stream too, is drained by its own thread, so none can block another.
"""

import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SSTrackError
from pipelines.frames import CONTAINERS, PROTOCOLS
from pipelines.ingest.probe import Probe
from pipelines.ingest.reject import Unusable
from pipelines.settings import settings
from sstrack.clips.luma import LumaTrack
from sstrack.clips.stills import RATE
from sstrack.clips.thumbnails import TinySample

TINY_H, TINY_W = 27, 48
_CHUNK = 64
Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class Decoded:
    """What one pass gave: `measures` float32 [N, 5] and `times` float64 [N] seconds of all N decoded frames, the number
    of stored frames and of ffmpeg's error lines, and the last of those."""

    measures: NDArray[np.float32]
    times: NDArray[np.float64]
    stored: int
    error_lines: int
    last_errors: str
    tiny: TinySample

    def tiny_at(self, wanted: NDArray[np.float64]) -> NDArray[np.uint8]:
        """uint8 [k, 27, 48]: the tiny frames nearest to k times in seconds."""
        return self.tiny.at(self.times, wanted)


def stored_size(video: Probe, long_side: int) -> tuple[int, int]:
    """Width and height of stored frames: the video's shape, no side above `long_side`, never enlarged, both even."""
    scale = min(1.0, long_side / max(video.width, video.height))
    return max(2, int(video.width * scale) // 2 * 2), max(2, int(video.height * scale) // 2 * 2)


def decode(
    path: Path,
    video: Probe,
    size: tuple[int, int],
    fps: Fraction,
    deadline_s: float,
    store: Callable[[Planes], None],
) -> Decoded:
    """Decode `path` once and hand each stored frame's full-range YUV 4:2:0 planes to `store`, in order.

    Raises Unusable where nothing decodes or the deadline passes. What `store` raises stops the decoder and passes on.
    """
    frames_read, frames_write = os.pipe()
    times_read, times_write = os.pipe()
    luma = LumaTrack(lag=max(1, round(video.fps / 2)))
    sample = TinySample(int(video.fps / int(RATE)))
    times: list[float] = []
    errors = _Errors()
    with os.fdopen(frames_read, "rb") as frames, os.fdopen(times_read, "rb") as lines:
        try:
            process = subprocess.Popen(
                _command(path, video.stream, size, fps, frames_write, times_write),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(frames_write, times_write),
                start_new_session=True,
            )
        finally:
            os.close(frames_write)
            os.close(times_write)
        assert process.stdout is not None
        assert process.stderr is not None
        drains = [
            _Drain(_read_tiny, process.stdout, (luma, sample)),
            _Drain(_read_times, lines, times),
            _Drain(_read_errors, process.stderr, errors),
        ]
        late = threading.Event()
        timer = threading.Timer(deadline_s, lambda: (late.set(), _kill(process)))
        timer.start()
        try:
            stored = _read_frames(frames, size, store)
            for drain in drains:
                drain.finish()
            process.wait()
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
            for drain in drains:
                drain.join()
            process.stdout.close()
            process.stderr.close()
    if late.is_set():
        raise Unusable("decode", "deadline", f"not decoded within {deadline_s:.0f} s")
    measures = luma.measures()
    count = min(len(measures), len(times))
    if stored == 0 or count == 0:
        raise Unusable("decode", "undecodable", errors.text or "no frame could be decoded")
    return Decoded(measures[:count], np.asarray(times[:count]), stored, errors.lines, errors.text, sample)


def binary() -> str:
    """The ffmpeg that the settings ask for. Raises SSTrackError where there is none."""
    if settings().ffmpeg == "bundled":
        return imageio_ffmpeg.get_ffmpeg_exe()
    found = shutil.which("ffmpeg")
    if found is None:
        raise SSTrackError("SSTRACK_FFMPEG is 'system' but no ffmpeg is on the PATH; install one or set 'bundled'.")
    return found


def _command(path: Path, stream: int, size: tuple[int, int], fps: Fraction, frames: int, times: int) -> list[str]:
    video = ffmpeg.input(str(path), threads=1, protocol_whitelist=PROTOCOLS, format_whitelist=CONTAINERS)
    tiny, stored = (video[str(stream)].filter_multi_output("split")[branch] for branch in (0, 1))
    tiny = tiny.filter("scale", TINY_W, TINY_H, flags="area").filter("format", "gray")
    # `print` writes the time of frames that carry a tag only, so each gets one
    tiny = tiny.filter("metadata", mode="add", key="k", value=1)
    tiny = tiny.filter("metadata", mode="print", file=f"pipe:{times}")
    stored = stored.filter("fps", fps=f"{fps.numerator}/{fps.denominator}")
    stored = stored.filter("scale", *size, flags="bilinear", out_range="full", out_color_matrix="bt601")
    stored = stored.filter("format", "yuv420p")
    outputs = ffmpeg.merge_outputs(
        ffmpeg.output(tiny, "pipe:1", format="rawvideo", fps_mode="passthrough"),
        ffmpeg.output(stored, f"pipe:{frames}", format="rawvideo", fps_mode="passthrough"),
    )
    quiet = outputs.global_args("-nostdin", "-nostats", "-hide_banner", "-v", "error", "-filter_complex_threads", "1")
    return quiet.compile(cmd=binary())


class _Drain(threading.Thread):
    """Runs `read(stream, sink)` to the stream's end; `finish` waits for that and raises what it raised."""

    def __init__(self, read: Callable[..., None], stream: IO[bytes], sink: object) -> None:
        super().__init__(daemon=True)
        self._work = (read, stream, sink)
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        read, stream, sink = self._work
        try:
            read(stream, sink)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error

    def finish(self) -> None:
        self.join()
        if self._error is not None:
            raise self._error


class _Errors:
    """ffmpeg's error lines: their number and the last few, so that a broken file cannot fill the memory."""

    def __init__(self) -> None:
        self.lines = 0
        self._last: deque[str] = deque(maxlen=3)

    def add(self, line: str) -> None:
        self.lines += 1
        self._last.append(line[:200])

    @property
    def text(self) -> str:
        return "; ".join(self._last)


def _read_frames(stream: IO[bytes], size: tuple[int, int], store: Callable[[Planes], None]) -> int:
    width, height = size
    luma, chroma = width * height, (width // 2) * (height // 2)
    count = 0
    while len(data := stream.read(luma + 2 * chroma)) == luma + 2 * chroma:
        flat = np.frombuffer(data, np.uint8)
        half = (height // 2, width // 2)
        y, u, v = flat[:luma], flat[luma : luma + chroma], flat[luma + chroma :]
        store((y.reshape(height, width), u.reshape(half), v.reshape(half)))
        count += 1
    return count


def _read_tiny(stream: IO[bytes], sinks: tuple[LumaTrack, TinySample]) -> None:
    frame = TINY_H * TINY_W
    while data := stream.read(frame * _CHUNK):
        count = len(data) // frame
        for sink in sinks:
            sink.add(np.frombuffer(data, np.uint8, count * frame).reshape(count, TINY_H, TINY_W))


def _read_times(stream: IO[bytes], times: list[float]) -> None:
    for line in stream:
        _, found, time = line.partition(b"pts_time:")
        if found:
            times.append(float(time))


def _read_errors(stream: IO[bytes], errors: _Errors) -> None:
    while line := stream.readline(4096):
        errors.add(line.decode(errors="replace").strip())


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
