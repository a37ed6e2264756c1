"""One pass over a video: tiny luma frames at full rate, each frame's time and soundness, and the frames to be stored.

Two backends do it, with the same filters: PyAV in a child process, and the ffmpeg command line. PyAV says of every
frame whether it is damaged and costs no more (bench/ingest.py), so `auto` takes it, and ffmpeg where PyAV's process
breaks down. ffmpeg reports no frame's soundness: what it decodes with an error or a frame too few is distrusted whole.
"""

import json
import struct
from array import array
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.footage.light import table_file
from pipelines.ingest.reject import Unusable
from pipelines.ingest.video.damage import NO_TIME, damaged_packets
from pipelines.ingest.video.decoding.decoders import Forked, Spawned
from pipelines.ingest.video.decoding.drain import Ended, Limits, run_child
from pipelines.ingest.video.decoding.ffmpeg_backend import ffmpeg_command, is_error
from pipelines.ingest.video.jpeg import to_jpeg
from pipelines.ingest.video.probe import OPTIONS, Probe
from pipelines.ingest.video.task import DecodeTask
from pipelines.ingest.video.tiny import FRAME_BYTES

_SEEK_BACK_S = 0.2
_JPEG_HEAD = 1 << 16


@dataclass(frozen=True)
class Decoded:
    """What one pass gave.

    Attributes:
        ticks: int64 [N], when each decoded frame is shown, ascending, in ticks of the stream.
        corrupt: bool [N], frames that are damaged or predicted from damaged ones.
        missing: int64 [K], when frames should have been shown that never came; not every one is a loss (`find_gaps`).
        stored: number of stored frames.
        error_lines: of the decoder; `errors`: the last of them.
    """

    ticks: NDArray[np.int64]
    corrupt: NDArray[np.bool_]
    missing: NDArray[np.int64]
    stored: int
    error_lines: int
    errors: str


class Crashed(Exception):
    """A backend's process broke down; the other one may do better."""


def stored_size(video: Probe, long_side: int) -> tuple[int, int]:
    """Width and height of stored frames: the video's shape, no side above `long_side`, never enlarged, both even."""
    scale = min(1.0, long_side / max(video.width, video.height))
    return max(2, int(video.width * scale) // 2 * 2), max(2, int(video.height * scale) // 2 * 2)


def decode(
    path: Path,
    task: DecodeTask,
    backend: str,
    limits: Limits,
    tiny: IO[bytes],
    store: Callable[[bytes], None],
) -> Decoded:
    """Decode `path` once with `backend` ("pyav" or "ffmpeg"): tiny frames go to the file `tiny`, the JPEG of each
    stored frame to `store`, in order.

    Raises Unusable where nothing decodes or a limit is passed, Crashed where the
    decoder's process dies. What `store` raises stops the decoder and passes on.
    """
    with table_file(task.light) as table:
        return _decode(path, replace(task, table=table), backend, limits, tiny, store)


def _decode(
    path: Path,
    task: DecodeTask,
    backend: str,
    limits: Limits,
    tiny: IO[bytes],
    store: Callable[[bytes], None],
) -> Decoded:
    found = Records()
    small = _Tiny(tiny)
    # after a jump, ffmpeg takes the end of the video for later than it is, and repeats the last frame until then
    end = task.stop if task.stop is not None else task.end
    last = None if task.start is None else task.number(end) - task.number(task.start)
    if not task.clock.plain:
        last = max(1, task.number(task.end) - task.number(task.clock.press(task.clock.first)))
    frames = _Frames(task, store, last)
    if backend == "pyav":
        ended = run_child(
            path,
            lambda files: Forked(json.dumps(pyav_order(task), default=str).encode(), files),
            limits,
            tiny=small.read,
            records=found.read_pyav,
            frames=frames.read_jpegs,
        )
        if ended.status != 0:
            raise Crashed(f"PyAV's process ended with {ended.status}: {ended.errors}")
    else:
        ended = run_child(
            path,
            lambda files: Spawned(ffmpeg_command(task, files.video, files.records, files.frames), files),
            limits,
            tiny=small.read,
            records=found.read_ffmpeg,
            frames=frames.read_planes,
            is_error=partial(is_error, task=task),
        )
        if ended.status < 0:
            raise Crashed(f"ffmpeg was ended by signal {-ended.status}: {ended.errors}")
    decoded = soundness(task, found, min(small.count, len(found.ticks)), frames.count, ended)
    tiny.truncate(len(decoded.ticks) * FRAME_BYTES)
    return distrusted(decoded) if backend == "ffmpeg" and (ended.status or ended.error_lines) else decoded


def distrusted(decoded: Decoded) -> Decoded:
    """What was decoded, all of it taken for damaged."""
    return replace(decoded, corrupt=np.ones(len(decoded.ticks), np.bool_))


def soundness(task: DecodeTask, found: "Records", count: int, stored: int, ended: Ended) -> Decoded:
    """Which of the first `count` frames found are sound, and which never came."""
    ticks = np.maximum.accumulate(np.array(found.ticks[:count], np.int64))
    raw = np.array(found.raw[:count], np.int64)
    corrupt = np.array(found.corrupt[:count], np.bool_)
    inside = np.ones(count, np.bool_) if task.stop is None else ticks < task.stop
    if not inside.any() or stored == 0:
        raise Unusable("decode", "undecodable", ended.errors or "no frame could be decoded")
    times, key = np.array(found.packet_times, np.int64), np.array(found.packet_key, np.bool_)
    failed = np.array(found.packet_errors, np.int64) > 0
    shown = np.isin(times, raw)
    bad = failed | np.isin(times, raw[corrupt & (raw != NO_TIME)])
    corrupt |= np.isin(raw, times[damaged_packets(times, key, bad) & (times != NO_TIME)])
    wanted = (times != NO_TIME) & ~shown
    if task.start is not None:
        wanted &= times >= task.start
    if task.stop is not None:
        wanted &= times < task.stop
    missing = times[wanted] if (raw != NO_TIME).any() else times[:0]
    return Decoded(ticks[inside], corrupt[inside], np.sort(missing), stored, ended.error_lines, ended.errors)


def pyav_order(task: DecodeTask) -> dict[str, Any]:
    """What PyAV's process is told, as far as JSON holds it."""
    start = task.start if task.seek else None
    return {
        **asdict(task),
        "options": OPTIONS,
        "tick": max(1, round(1 / (task.rate * task.time_base))),
        "seek": None if start is None else start - round(_SEEK_BACK_S / task.time_base),
        "fit": task.fit,
        "upright": task.upright,
        "tiny": task.tiny,
        "stored": task.stored,
        "given_colour": astuple(task.given_colour),
        "seams": sorted(task.seams),
    }


class Records:
    """What a decoder says of packets, in decoding order, and of frames, in showing order."""

    def __init__(self) -> None:
        self.ticks, self.raw, self.corrupt = array("q"), array("q"), array("b")
        self.packet_times, self.packet_key, self.packet_errors = array("q"), array("b"), array("l")

    def read_pyav(self, stream: IO[bytes]) -> None:
        for line in stream:
            kind, *values = line.split()
            if kind == b"f":
                self.ticks.append(int(values[0]))
                self.raw.append(_tick(values[1]))
                self.corrupt.append(int(values[2]))
            else:
                self.packet_times.append(_tick(values[0]))
                self.packet_key.append(int(values[1]))
                self.packet_errors.append(int(values[2]))

    def read_ffmpeg(self, stream: IO[bytes]) -> None:
        for line in stream:
            _, found, rest = line.partition(b" pts:")
            if found:
                self.ticks.append(int(rest.split(None, 1)[0]))
                self.raw.append(NO_TIME)
                self.corrupt.append(0)


def _tick(word: bytes) -> int:
    return NO_TIME if word == b"None" else int(word)


class _Tiny:
    """Copies tiny frames to a file and counts them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._bytes = file, 0

    def read(self, stream: IO[bytes]) -> None:
        while data := stream.read(FRAME_BYTES * 64):
            self._file.write(data)
            self._bytes += len(data)

    @property
    def count(self) -> int:
        return self._bytes // FRAME_BYTES


class _Frames:
    """Hands stored frames on, at most `most`; what a segment shows past its end is read and dropped."""

    def __init__(self, task: DecodeTask, store: Callable[[bytes], None], most: int | None) -> None:
        self._task, self._store, self._most = task, store, most
        self.count = 0

    def read_jpegs(self, stream: IO[bytes]) -> None:
        """Read JPEGs, each after its length."""
        width, height = self._task.size
        while len(head := stream.read(4)) == 4:
            [length] = struct.unpack("<I", head)
            if length > 4 * width * height + _JPEG_HEAD:
                raise Crashed(f"PyAV's process announced a picture of {length} bytes")
            data = stream.read(length)
            if len(data) == length:
                self._take(lambda data=data: data)

    def read_planes(self, stream: IO[bytes]) -> None:
        """Read planes, one frame after another."""
        width, height = self._task.given_size
        shapes = ((height, width), *(((height + 1) // 2, (width + 1) // 2),) * 2)
        ends = np.cumsum([rows * columns for rows, columns in shapes])
        buffer = bytearray(int(ends[-1]))
        y, u, v = (
            part.reshape(shape)
            for part, shape in zip(np.split(np.frombuffer(buffer, np.uint8), ends[:-1]), shapes, strict=True)
        )
        while stream.readinto(buffer) == len(buffer):  # type: ignore[attr-defined]  # a buffered reader fills it
            self._take(lambda: to_jpeg((y, u, v), self._task.size, self._task.given_colour, self._task.quality))

    def _take(self, jpeg: Callable[[], bytes]) -> None:
        if self._most is None or self.count < self._most:
            self._store(jpeg())
            self.count += 1
