"""Every picture of a film as upright RGB with square pixels, whole frames and ordinary light, in the order shown."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import av.container
import av.error
import av.filter
import av.video
import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.footage.chain import Chain, link
from pipelines.footage.containers import CONTAINERS, PROTOCOLS
from pipelines.footage.fields import may_interlace, whole_frames
from pipelines.footage.light import Light, light_of, mapped, table_file
from pipelines.footage.square import frame_shape, inside, pixel_shape, square_size, states_shape
from pipelines.footage.streams import film_of
from pipelines.footage.tags import fill, tags_of
from pipelines.footage.turn import turn_of

log = logging.getLogger(__name__)

Video = Path | BinaryIO

_MOST_LOST = 20
"""Packets in a row that cannot be decoded, after which a film is given up."""


MOST_A_SECOND = 300
"""Frames a second, above which what a stream states is no rate."""


class TooLarge(ValueError):
    """A video whose pictures have more pixels than they may."""


def read_film(video: Video, name: str) -> Iterator[NDArray[np.uint8]]:
    """Every picture of a video as [H, W, 3] uint8 RGB; a file object need not be seekable.

    Single packets that cannot be decoded, at the joint of two recordings say, are skipped with a warning. Raises
    ValueError, with `name`, where it is no video, or from where on it cannot be decoded.
    """
    return (picture for _, picture in read_timed(video, name))


def read_timed(
    video: Video, name: str, most_pixels: int | None = None
) -> Iterator[tuple[float | None, NDArray[np.uint8]]]:
    """Every picture as `read_film` gives it, behind the second at which it is shown by the container's clock, which
    may begin anywhere; None where that does not say.

    Raises as `read_film` does, and TooLarge for pictures of more than `most_pixels`, before one is decoded.
    """
    decoded = 0
    try:
        with _opened(video, name) as (container, stream):
            stream.thread_type = "AUTO"
            if most_pixels is not None:
                _bound(stream, name, most_pixels)
            for timed in _on_one_canvas(_pictures(container, stream, name)):
                yield timed
                decoded += 1
    except av.error.FFmpegError as error:
        raise ValueError(f"{name} cannot be decoded after frame {decoded}: {error}") from error


def count_pictures(video: Path) -> int:
    """Pictures in a video as its header counts them; 0 where it does not say. Raises ValueError as `read_film` does."""
    with _opened(video, str(video)) as (_, stream):
        return stream.frames


def picture_rate(video: Path) -> Fraction | None:
    """Frames per second that a video says it has, None where it does not say. Raises ValueError as `read_film` does."""
    with _opened(video, str(video)) as (container, stream):
        own = stream.codec_context.framerate
        if stream.duration is None and container.duration is None and own and own <= MOST_A_SECOND:
            return own  # of a raw stream; its demuxer says 25 of any
        return stream.average_rate


def stated_length(video: Path, name: str) -> tuple[int, float]:
    """Pictures and seconds that a video says it has; 0 where it does not say. Raises ValueError as `read_film` does."""
    with _opened(video, name) as (container, stream):
        if stream.duration is not None and stream.time_base is not None:
            return stream.frames, float(stream.duration * stream.time_base)
        return stream.frames, container.duration / av.time_base if container.duration else 0.0


def _bound(stream: av.video.VideoStream, name: str, most_pixels: int) -> None:
    codec = stream.codec_context
    width, height = square_size(codec.width, codec.height, pixel_shape(stream))
    if max(width * height, codec.width * codec.height) > most_pixels:
        raise TooLarge(f"{name} has pictures of {width}x{height}; at most {most_pixels} pixels are taken")
    codec.options = {"max_pixels": str(most_pixels)}  # for what the header did not say


def _pictures(
    container: av.container.InputContainer, stream: av.video.VideoStream, name: str
) -> Iterator[tuple[float | None, NDArray[np.uint8]]]:
    shape, stated = pixel_shape(stream), states_shape(container, stream)
    tags = tags_of(stream.codec_context)
    with _Mapper() as mapper:
        for frame in _whole(_decoded(container, stream, name)):
            seconds = frame.time
            shape = shape if stated else frame_shape(stream)
            width, height = square_size(frame.width, frame.height, shape)
            said = fill(frame, tags)
            light = light_of(said.transfer, said.primaries)
            if light is not None:
                frame = mapper.mapped(frame, light)
            picture = frame.to_ndarray(format="rgb24", width=width, height=height).astype(np.uint8, copy=False)
            yield seconds, turn_of(frame).apply(picture)


def _decoded(
    container: av.container.InputContainer, stream: av.video.VideoStream, name: str
) -> Iterator[av.video.frame.VideoFrame]:
    lost = run = 0
    last: av.error.FFmpegError | None = None
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.PatchWelcomeError) as error:
            lost, run, last = lost + 1, run + 1, error
            if run > _MOST_LOST:
                raise
            continue
        if packet.size:  # the last one only asks for what is held back
            run, last = 0, None
        for frame in frames:
            assert isinstance(frame, av.video.frame.VideoFrame)
            yield frame
    if last is not None:
        raise last
    if lost:
        log.warning("%s: %d packets cannot be decoded, their pictures are left out", name, lost)


def _on_one_canvas(
    pictures: Iterator[tuple[float | None, NDArray[np.uint8]]],
) -> Iterator[tuple[float | None, NDArray[np.uint8]]]:
    """The pictures, each as large as the first; one of another shape keeps it, between black bars."""
    canvas: tuple[int, int] | None = None
    for seconds, picture in pictures:
        size = picture.shape[1], picture.shape[0]
        canvas = canvas or size
        if size == canvas:
            yield seconds, picture
            continue
        width, height = inside(size, canvas)
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        whole = np.zeros((canvas[1], canvas[0], 3), np.uint8)
        left, top = (canvas[0] - width) // 2, (canvas[1] - height) // 2
        whole[top : top + height, left : left + width] = small
        yield seconds, whole


def _whole(frames: Iterator[av.video.frame.VideoFrame]) -> Iterator[av.video.frame.VideoFrame]:
    """The frames, from the first interlaced one on made whole, which holds each back until the next has come."""
    sieve: _Graph | None = None
    for frame in frames:
        if frame.interlaced_frame and sieve is None and may_interlace("h264", frame.format.name):
            sieve = _Graph(frame, whole_frames(frame.time_base or Fraction(1)))
        if sieve is not None and sieve.shape != _shape(frame):
            yield from sieve.rest()
            sieve = _Graph(frame, whole_frames(frame.time_base or Fraction(1)))
        if sieve is None:
            yield frame
        else:
            yield from sieve.put(frame)
    if sieve is not None:
        yield from sieve.rest()


def _shape(frame: av.video.frame.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


class _Graph:
    """One chain of filters for frames of one shape."""

    def __init__(self, frame: av.video.frame.VideoFrame, chain: Chain) -> None:
        self.shape = _shape(frame)
        self._graph = av.filter.Graph()
        self._graph.threads = 1
        source = self._graph.add(
            "buffer",
            width=str(frame.width),
            height=str(frame.height),
            pix_fmt=frame.format.name,
            time_base=str(frame.time_base or Fraction(1)),
            colorspace=str(int(frame.colorspace)),
            range=str(int(frame.color_range)),
        )
        link(self._graph, source, 0, chain).link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def put(self, frame: av.video.frame.VideoFrame | None) -> Iterator[av.video.frame.VideoFrame]:
        """Push a frame, or the end, and take what comes out."""
        self._graph.push(frame)
        while True:
            try:
                out = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(out, av.video.frame.VideoFrame)
            yield out

    def rest(self) -> Iterator[av.video.frame.VideoFrame]:
        """What is held back."""
        return self.put(None)


class _Mapper:
    """Takes HDR frames to ordinary ones; the tables and filters are made when the first such frame comes."""

    def __init__(self) -> None:
        self._graphs: dict[tuple[Light, tuple[int, int, str]], _Graph] = {}

    def __enter__(self) -> "_Mapper":
        return self

    def __exit__(self, *_: object) -> None:
        self._graphs.clear()

    def mapped(self, frame: av.video.frame.VideoFrame, light: Light) -> av.video.frame.VideoFrame:
        key = light, _shape(frame)
        if key not in self._graphs:
            with table_file(light) as table:  # read as the filter is made
                self._graphs[key] = _Graph(frame, mapped(table, ()))
        [out] = self._graphs[key].put(frame)
        return out


@contextmanager
def _opened(video: Video, name: str) -> Iterator[tuple[av.container.InputContainer, av.video.VideoStream]]:
    """A container and its film, and nothing that would make the decoder open other files."""
    limits = {"format_whitelist": CONTAINERS, "protocol_whitelist": PROTOCOLS}
    try:
        container = av.open(str(video) if isinstance(video, Path) else video, "r", options=limits)
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} is not a video that can be decoded: {error}") from error
    with container:
        stream = film_of(container)
        if stream is None:
            raise ValueError(f"{name} has no video stream")
        yield container, stream
