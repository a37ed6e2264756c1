"""The PyAV backend's work: decodes one open file and writes frames and what is known of each to pipes.

Runs in a process of its own, forked by `fork_server.py`, so it imports nothing of ours that takes long.

Pipe `tiny` gets the tiny frames, pipe `frames` the JPEGs of the stored ones, each after its length, and pipe `records`
one line per packet in decoding order, `p TIME KEY ERRORS`, and one per frame, `f TIME PACKET CORRUPT`.
"""

import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.container
import av.error
import av.filter
import av.logging
import av.video
import numpy as np

from pipelines.footage.chain import link
from pipelines.footage.square import sound_shape
from pipelines.footage.timeline import NO_TIME, WRAP, Clock, Follower, Pause
from pipelines.ingest.video.jpeg import Colour, to_jpeg

_MOST_STALLS = 20
"""Demuxing may fail this often in a row before the rest of a file is given up."""


def decode(task: dict[str, Any], video: int, tiny: int, records: int, frames: int) -> None:
    """Do what `decode.pyav_order` describes with the descriptors of an opened video and of three pipes."""
    av.logging.set_level(av.logging.ERROR)
    with (
        open(records, "w", buffering=1 << 16) as lines,
        open(tiny, "wb", buffering=1 << 16) as small,
        open(frames, "wb", buffering=0) as stored,
        av.open(f"file:/dev/fd/{video}", mode="r", options=task["options"]) as container,
    ):
        assert isinstance(container, av.container.InputContainer)
        stream = container.streams[task["stream"]]
        assert isinstance(stream, av.video.VideoStream)
        stream.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(task["max_pixels"])}
        if task["seek"] is not None:
            container.seek(task["seek"], stream=stream)
        _decode(container, stream, task, _Outputs(task, small, stored), lines)


def _decode(
    container: av.container.InputContainer, stream: av.video.VideoStream, task: dict[str, Any], out: "_Outputs", records
) -> None:
    clock = _Clock(task["tick"], trust_pts=container.format.name != "avi", timed=task["timed"])
    line = _Line(task)
    doubt, seams = False, frozenset(task["seams"])
    for packet in _packets(container, stream):
        with av.logging.Capture() as errors:
            try:
                decoded = packet.decode()
            except av.error.FFmpegError as error:
                decoded = []
                errors.append((av.logging.ERROR, "decode", str(error)))
        if packet.size and not packet.is_discard:
            said = line.packet(packet)
            broken = packet.is_corrupt and packet.dts not in seams
            records.write(f"p {said} {int(packet.is_keyframe)} {len(errors) + broken}\n")
        if _inside(task, packet.pts):  # what is decoded to get there is another segment's
            for _, _, text in errors[:3]:
                print(text.strip(), file=sys.stderr)
        for frame in decoded:
            doubt = not frame.key_frame and (doubt or bool(errors))
            raw = frame.pts
            corrupt = frame.is_corrupt or (doubt and raw is None)
            tick, raw = line.frame(raw, clock.time(frame))
            frame.pts = tick
            if task["start"] is not None and tick < task["start"]:
                continue
            records.write(f"f {tick} {raw} {int(corrupt)}\n")
            out.push(frame, sound_shape(stream.codec_context.sample_aspect_ratio))
            if task["stop"] is not None and tick >= task["stop"]:
                out.finish()
                return  # this one frame more says how long the last of the segment is shown
    out.finish()


def _inside(task: dict[str, Any], tick: int | None) -> bool:
    start, stop = task["start"], task["stop"]
    return tick is None or ((start is None or tick >= start) and (stop is None or tick < stop))


def _packets(container: av.container.InputContainer, stream: av.video.VideoStream) -> Iterator[av.Packet]:
    """All packets, past places where demuxing fails; ends with one that flushes the decoder."""
    stalls = 0
    while True:
        try:
            for packet in container.demux(stream):
                stalls = 0
                yield packet
        except av.error.FFmpegError as error:
            print(f"demux: {error}", file=sys.stderr)
            stalls += 1
            if stalls < _MOST_STALLS and not isinstance(error, av.error.EOFError):
                continue
            yield av.Packet(0)
        return


class _Line:
    """Takes times of packets and frames as they come to the one line of pressed times."""

    def __init__(self, task: dict[str, Any]) -> None:
        told = task["clock"]
        pauses = tuple(Pause(**pause) for pause in told["pauses"])
        self._clock = Clock(task["time_base"], told["step"], told["back"], tuple(told["restarts"]), pauses)
        self._follower = Follower(told["back"])
        self._added: dict[int, int] = {}  # by the raw time of packets whose frames have not come yet

    def packet(self, packet: av.Packet) -> int | None:
        """The next packet's pressed time, None where it has none."""
        if self._clock.plain:
            return packet.pts
        order = packet.pts if packet.dts is None else packet.dts
        added = self._clock.offset(self._follower.see(NO_TIME if order is None else order))
        if packet.pts is None:
            return None
        if packet.dts is not None and packet.dts - packet.pts > WRAP // 2:
            added += WRAP
        self._added[packet.pts] = added
        return self._pressed(packet.pts + added)

    def frame(self, raw: int | None, best: int) -> tuple[int, int | None]:
        """Pressed times of a frame: of its best raw time, and of its packet's `raw` one."""
        if self._clock.plain:
            return best, raw
        added = self._clock.offset(self._follower.begun_again)
        if raw is not None:
            added = self._added.pop(raw, added)
        return self._pressed(best + added), None if raw is None else self._pressed(raw + added)

    def _pressed(self, tick: int) -> int:
        return self._clock.press(tick)


class _Clock:
    """A frame's best time: that of its packet unless those run backwards more often than decoding times do.

    AVI holds no times to show frames at, so there (`trust_pts` False) the order of decoding is all there is.
    """

    def __init__(self, tick: int, trust_pts: bool, timed: bool) -> None:
        self._tick, self._trust_pts = tick, trust_pts  # `tick` is what a frame takes, where nothing else is known
        self._timed = timed
        self._last: int | None = None
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = self._faulty_dts = 0

    def time(self, frame: av.VideoFrame) -> int:
        pts, dts = frame.pts if self._trust_pts else None, frame.dts
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
        self._last_dts = dts if dts is not None else pts if pts is not None else self._last_dts
        self._last_pts = pts if pts is not None else dts if dts is not None else self._last_pts
        best = pts if pts is not None and (dts is None or self._faulty_pts <= self._faulty_dts) else dts
        if best is None:
            best = (
                0
                if self._last is None
                else self._last + (frame.duration if frame.duration and self._timed else self._tick)
            )
        self._last = best
        return best


class _Outputs:
    """The filter graph with its two ends, built anew where frames change their shape in the course of a stream."""

    def __init__(self, task: dict[str, Any], tiny, stored) -> None:
        self._task, self._tiny, self._stored = task, tiny, stored
        self._shape: tuple[Any, ...] | None = None
        self._colour = Colour(*task["given_colour"])

    def push(self, frame: av.VideoFrame, aspect: Fraction) -> None:
        """Take the next frame, whose pixels are `aspect` times as wide as they are high."""
        shape = (frame.width, frame.height, frame.format.name, frame.color_range, frame.colorspace, aspect)
        if shape != self._shape:
            if self._shape is not None:
                self.finish()
            self._build(frame, aspect)
            self._shape = shape
        self._source.push(frame)
        self._drain()

    def finish(self) -> None:
        """Let out what the filters hold back."""
        if self._shape is not None:
            self._source.push(None)
            self._drain()

    def _build(self, frame: av.VideoFrame, aspect: Fraction) -> None:
        self._graph = graph = av.filter.Graph()
        graph.threads = 1
        node = self._source = graph.add(
            "buffer",
            width=str(frame.width),
            height=str(frame.height),
            pix_fmt=frame.format.name,
            time_base=str(frame.time_base),
            pixel_aspect=str(aspect),
            colorspace=str(int(frame.colorspace)),
            range=str(int(frame.color_range)),
        )
        same = (frame.width, frame.height) == tuple(self._task["coded"])
        if not same or (aspect != Fraction(self._task["shape"]) and not self._task["shape_stated"]):
            node = link(graph, node, 0, self._task["fit"])  # it would copy all other frames too
        node = link(graph, node, 0, self._task["upright"])
        split = graph.add("split", "2")
        node.link_to(split)
        self._ends = tuple(graph.add("buffersink") for _ in range(2))
        for number, chain in enumerate((self._task["tiny"], self._task["stored"])):
            node = link(graph, split, number, chain)
            node.link_to(self._ends[number])
        graph.configure()

    def _drain(self) -> None:
        for frame in _ready(self._ends[0]):
            plane = frame.planes[0]
            self._tiny.write(_rows(plane, plane.width))
        for frame in _ready(self._ends[1]):
            y, u, v = (
                np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
                for plane in frame.planes
            )
            data = to_jpeg((y, u, v), self._task["size"], self._colour, self._task["quality"])
            _write(self._stored, struct.pack("<I", len(data)) + data)


def _ready(end) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield end.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _rows(plane, width: int) -> bytes:
    data, step = memoryview(plane), plane.line_size
    return b"".join(data[start : start + width] for start in range(0, step * plane.height, step))


def _write(file, data) -> None:
    data = memoryview(data)
    while data:
        data = data[file.write(data) :]
