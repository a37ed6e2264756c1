"""What a file claims to be, without decoding more than one frame: container, size, rate, length, frames to expect."""

import logging
from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import av.video
from av.stream import Disposition

from pipelines import storage
from pipelines.frames import CONTAINERS
from pipelines.ingest.config import ProbeLimits
from pipelines.ingest.reject import Unusable
from pipelines.ingest.video.bars import bars_of
from pipelines.ingest.video.picture import Colour
from sstrack.clips.letterbox import Bars

log = logging.getLogger(__name__)

OPTIONS = {
    "format_whitelist": CONTAINERS,
    "protocol_whitelist": "file",
    "probesize": str(8 << 20),
    "analyzeduration": str(10_000_000),
    "max_streams": "64",
}
"""How demuxers are opened, by every backend: containers that name no other file, and bounds on what guessing reads."""
_MOST_PACKETS_A_SECOND = 300
_INDEXED = {"mp4", "matroska"}
"""Containers whose index makes jumping exact."""
_PLANAR = {"yuv420p", "yuvj420p"}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG

_NO_BARS = Bars()


@dataclass(frozen=True)
class Probe:
    """One video stream: `width` and `height` as shown (rotated, square pixels), `packets` frames in the file.

    `edited_out` of them are not to be shown, as the file's edit list says. `rotation` in degrees counter-clockwise
    turns decoded frames upright; `origin` is the file's second 0 in ticks of `time_base`, and
    `end` its last frame's end; `keyframes` are ticks at
    which decoding may begin, ascending, empty where the container has no index. `bars` of the upright frame are cut
    off first; `width` and `height` are without them, `bar_share` is the part of the picture that they take. `pixels` is
    the upright frame's width and height without bars in its own pixels, `planar` whether those are 8-bit YUV 4:2:0, and
    `colour` what their numbers mean.
    """

    stream: int
    container: str
    codec: str
    width: int
    height: int
    fps: Fraction
    seconds: float
    packets: int
    edited_out: int
    rotation: int
    time_base: Fraction
    origin: int
    end: int
    keyframes: array
    pixels: tuple[int, int]
    planar: bool
    colour: Colour
    bars: Bars = _NO_BARS
    bar_share: float = 0.0


def probed(path: Path, limits: ProbeLimits) -> Probe | Unusable:
    """What a file claims to be, or why it cannot be used."""
    try:
        return probe(path, limits)
    except Unusable as problem:
        return problem


def probe(path: Path, limits: ProbeLimits) -> Probe:
    """Read a file's headers and count its packets, which reads the whole file: once for each source, whose jobs carry
    the result. Raises Unusable for what is no video or breaks a limit."""
    with storage.explained(path, "read"):
        size = path.stat().st_size
    if size == 0:
        raise Unusable("probe", "empty", "the file holds no bytes")
    if size > limits.max_mib * 2**20:
        raise Unusable("probe", "file_too_large", f"{size} bytes, the limit is {limits.max_mib:g} MiB")
    try:
        # by descriptor, so that no name is ever read as a pattern, a protocol or an option
        with path.open("rb") as file, av.open(f"file:/dev/fd/{file.fileno()}", options=OPTIONS) as container:
            return _read(container, limits)
    except av.error.FFmpegError as error:  # its whole text ends with the descriptor's name
        raise Unusable("probe", "not_a_video", error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise Unusable("probe", "not_a_video", f"its headers hold no text: {error.reason}") from error


def _read(container: av.container.InputContainer, limits: ProbeLimits) -> Probe:
    stream = _pick(container)
    codec = stream.codec_context
    if codec is None:
        raise Unusable("probe", "unknown_codec", "no decoder for its video stream")
    codec.thread_count = 1
    if codec.width * codec.height > limits.max_pixels:
        raise Unusable("probe", "frame_too_large", f"{codec.width}x{codec.height}, limit {limits.max_pixels} pixels")
    fps = stream.average_rate or stream.guessed_rate or Fraction(25)
    scan = _scan(container, stream, round(limits.max_seconds * _MOST_PACKETS_A_SECOND))
    stated = _seconds(container, stream)
    seconds = max(stated, scan.last, float(scan.packets / fps) if scan.packets else 0.0)
    if seconds > limits.max_seconds:
        raise Unusable("probe", "too_long", f"{seconds:.0f} s, the limit is {limits.max_seconds:g} s")
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = (round(codec.width * aspect) if Fraction(1, 4) < aspect < 4 else codec.width), codec.height
    rotation = 0 if scan.first is None else round(scan.first.rotation / 90) % 4 * 90
    if rotation % 180 == 90:
        width, height = height, width
    if min(width, height) < limits.min_side:
        raise Unusable("probe", "too_small", f"{width}x{height}, the smallest usable side is {limits.min_side}")
    across, down = (codec.height, codec.width) if rotation % 180 == 90 else (codec.width, codec.height)
    bars = bars_of(container, stream, rotation, scan.first, scan.keyframes) if limits.crop_bars else _NO_BARS
    left, kept = 1 - (bars.left + bars.right) / across, 1 - (bars.top + bars.bottom) / down
    width, height = round(width * left), round(height * kept)
    time_base = stream.time_base or Fraction(1, 1000)
    # a header's count is worth more than what was read only where the file ends before its stated length
    short = scan.last < stated - 1.5 / float(fps)
    packets = max(scan.packets, stream.frames) if short else scan.packets
    return Probe(
        stream=stream.index,
        container=container.format.name,
        codec=codec.name,
        width=width,
        height=height,
        fps=fps,
        seconds=seconds,
        packets=packets,
        edited_out=scan.edited_out,
        rotation=rotation,
        time_base=time_base,
        origin=round(Fraction(container.start_time or 0, av.time_base) / time_base),
        end=scan.end,
        keyframes=scan.keyframes if _INDEXED & set(container.format.name.split(",")) else array("q"),
        pixels=(across - bars.left - bars.right, down - bars.top - bars.bottom),
        planar=codec.pix_fmt in _PLANAR,
        colour=Colour(codec.colorspace, codec.color_range == _FULL_RANGE or codec.pix_fmt == "yuvj420p"),
        bars=bars,
        bar_share=1 - left * kept,
    )


def _pick(container: av.container.InputContainer) -> av.video.VideoStream:
    pictures = Disposition.attached_pic
    shown = [stream for stream in container.streams.video if not stream.disposition & pictures]
    if not shown:
        raise Unusable("probe", "no_video", "the file has no video stream")
    return shown[0]


@dataclass(frozen=True)
class _Scan:
    first: av.VideoFrame | None
    packets: int
    edited_out: int
    last: float
    end: int
    keyframes: array


def _scan(container: av.container.InputContainer, stream: av.video.VideoStream, most: int) -> _Scan:
    """The first frame, number of frames, how many of them are not to be shown, end of the last one in seconds and in
    ticks, ticks of keyframes."""
    first: av.VideoFrame | None = None
    packets = edited_out = last = 0
    keyframes = array("q")
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            packets += 1
            edited_out += packet.is_discard
            if packets > most:
                raise Unusable("probe", "too_many_frames", f"more than {most} of them")
            if packet.pts is not None:
                last = max(last, packet.pts + (packet.duration or 0))
                if packet.is_keyframe:
                    keyframes.append(packet.pts)
            if first is None:
                first = _first_frame(packet)
    except av.error.FFmpegError as error:
        log.debug("packets end early: %s", error)  # the decoder's count tells how much is lost
    length = (last - (stream.start_time or 0)) * float(stream.time_base or 0)
    return _Scan(first, packets, edited_out, length, last, keyframes)


def _first_frame(packet: av.Packet) -> av.VideoFrame | None:
    try:
        frames = packet.decode()
    except av.error.FFmpegError:
        return None
    return next((frame for frame in frames if isinstance(frame, av.VideoFrame)), None)


def _seconds(container: av.container.InputContainer, stream: av.video.VideoStream) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration else 0.0
