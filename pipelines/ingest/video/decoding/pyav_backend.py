"""The PyAV backend's work: decodes one open file and writes frames and what is known of each to pipes.

Runs in a process of its own, forked by `fork_server.py`, so it imports nothing of ours that takes long.

Pipe `tiny` gets the tiny frames, pipe `frames` the JPEGs of the stored ones, each after its length, and pipe `records`
one line per packet in decoding order, `p TIME KEY ERRORS`, and one per frame, `f TIME PACKET CORRUPT`.
"""

import struct
import sys
from collections.abc import Iterator
from typing import Any

import av
import av.container
import av.error
import av.filter
import av.logging
import av.video
import numpy as np

from pipelines.ingest.video.picture import Colour, to_jpeg

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
    clock = _Clock(task["tick"], trust_pts=container.format.name != "avi")
    doubt = False
    for packet in _packets(container, stream):
        with av.logging.Capture() as errors:
            try:
                decoded = packet.decode()
            except av.error.FFmpegError as error:
                decoded = []
                errors.append((av.logging.ERROR, "decode", str(error)))
        if packet.size and not packet.is_discard:
            records.write(f"p {packet.pts} {int(packet.is_keyframe)} {len(errors) + packet.is_corrupt}\n")
        if _inside(task, packet.pts):  # what is decoded to get there is another segment's
            for _, _, text in errors[:3]:
                print(text.strip(), file=sys.stderr)
        for frame in decoded:
            doubt = not frame.key_frame and (doubt or bool(errors))
            raw = frame.pts
            corrupt = frame.is_corrupt or (doubt and raw is None)
            frame.pts = tick = clock.time(frame)
            if task["start"] is not None and tick < task["start"]:
                continue
            records.write(f"f {tick} {raw} {int(corrupt)}\n")
            out.push(frame)
            if task["stop"] is not None and tick >= task["stop"]:
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


class _Clock:
    """A frame's best time: that of its packet unless those run backwards more often than decoding times do.

    AVI holds no times to show frames at, so there (`trust_pts` False) the order of decoding is all there is.
    """

    def __init__(self, tick: int, trust_pts: bool) -> None:
        self._tick, self._trust_pts = tick, trust_pts  # `tick` is what a frame takes, where nothing else is known
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
            best = 0 if self._last is None else self._last + (frame.duration or self._tick)
        self._last = best
        return best


class _Outputs:
    """The filter graph with its two ends, built anew where frames change their shape in the course of a stream."""

    def __init__(self, task: dict[str, Any], tiny, stored) -> None:
        self._task, self._tiny, self._stored = task, tiny, stored
        self._shape: tuple[Any, ...] | None = None
        self._colour = Colour(*task["given_colour"])

    def push(self, frame: av.VideoFrame) -> None:
        shape = (frame.width, frame.height, frame.format.name, frame.color_range, frame.colorspace)
        if shape != self._shape:
            if self._shape is not None:
                self.finish()
            self._build(frame)
            self._shape = shape
        self._source.push(frame)
        self._drain()

    def finish(self) -> None:
        """Let out what the filters hold back."""
        if self._shape is not None:
            self._source.push(None)
            self._drain()

    def _build(self, frame: av.VideoFrame) -> None:
        self._graph = graph = av.filter.Graph()
        graph.threads = 1
        node = self._source = graph.add(
            "buffer",
            width=str(frame.width),
            height=str(frame.height),
            pix_fmt=frame.format.name,
            time_base=str(frame.time_base),
            colorspace=str(int(frame.colorspace)),
            range=str(int(frame.color_range)),
        )
        node = self._link(node, 0, self._task["upright"])
        split = graph.add("split", "2")
        node.link_to(split)
        self._ends = tuple(graph.add("buffersink") for _ in range(2))
        for number, chain in enumerate((self._task["tiny"], self._task["stored"])):
            node = self._link(split, number, chain)
            node.link_to(self._ends[number])
        graph.configure()

    def _link(self, node, port: int, chain):
        for name, options in chain:
            following = self._graph.add(name, ":".join(f"{key}={value}" for key, value in options.items()))
            node.link_to(following, port)
            node, port = following, 0
        return node

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
