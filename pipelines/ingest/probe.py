"""What a file claims to be, without decoding more than one frame: container, size, rate, length, frames to expect."""

import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import av.video
from av.stream import Disposition

from pipelines import storage
from pipelines.frames import CONTAINERS, PROTOCOLS
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.reject import Unusable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Probe:
    """One video stream: `width` and `height` as shown (rotated, square pixels), `packets` frames to be shown."""

    stream: int
    container: str
    codec: str
    width: int
    height: int
    fps: Fraction
    seconds: float
    packets: int


def probe(path: Path, config: IngestConfig) -> Probe:
    """Read a file's headers and count its packets. Raises Unusable for what is no video or breaks a limit."""
    with storage.explained(path, "read"):
        size = path.stat().st_size
    if size == 0:
        raise Unusable("probe", "empty", "the file holds no bytes")
    if size > config.max_mib * 2**20:
        raise Unusable("probe", "file_too_large", f"{size} bytes, the limit is {config.max_mib:g} MiB")
    try:
        with av.open(str(path), options={"format_whitelist": CONTAINERS, "protocol_whitelist": PROTOCOLS}) as container:
            return _read(container, config)
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise Unusable("probe", "not_a_video", str(error)) from error


def _read(container: av.container.InputContainer, config: IngestConfig) -> Probe:
    stream = _pick(container)
    codec = stream.codec_context
    if codec is None:
        raise Unusable("probe", "unknown_codec", "no decoder for its video stream")
    codec.thread_count = 1
    if codec.width * codec.height > config.max_pixels:
        raise Unusable("probe", "frame_too_large", f"{codec.width}x{codec.height}, limit {config.max_pixels} pixels")
    rotation, packets, last = _scan(container, stream)
    fps = stream.average_rate or stream.guessed_rate or Fraction(25)
    seconds = max(_seconds(container, stream), last, float(packets / fps) if packets else 0.0)
    if seconds > config.max_seconds:
        raise Unusable("probe", "too_long", f"{seconds:.0f} s, the limit is {config.max_seconds:g} s")
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = (round(codec.width * aspect) if Fraction(1, 4) < aspect < 4 else codec.width), codec.height
    if rotation % 180 == 90:
        width, height = height, width
    if min(width, height) < config.min_side:
        raise Unusable("probe", "too_small", f"{width}x{height}, the smallest usable side is {config.min_side}")
    return Probe(stream.index, container.format.name, codec.name, width, height, fps, seconds, packets)


def _pick(container: av.container.InputContainer) -> av.video.VideoStream:
    pictures = Disposition.attached_pic
    shown = [stream for stream in container.streams.video if not stream.disposition & pictures]
    if not shown:
        raise Unusable("probe", "no_video", "the file has no video stream")
    return shown[0]


def _scan(container: av.container.InputContainer, stream: av.video.VideoStream) -> tuple[int, int, float]:
    """Rotation of the first frame in degrees, number of frames that should be shown, end of the last one in seconds."""
    rotation: int | None = None
    packets, last = 0, 0.0
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            packets += not packet.is_discard
            if packet.pts is not None and packet.time_base is not None:
                last = max(last, float(packet.pts * packet.time_base))
            if rotation is None:
                rotation = _first_rotation(packet)
    except av.error.FFmpegError as error:
        log.debug("packets end early: %s", error)  # the decoder's count tells how much is lost
    first = float((stream.start_time or 0) * (stream.time_base or 0))
    return rotation or 0, max(packets, stream.frames), last - first


def _first_rotation(packet: av.Packet) -> int | None:
    try:
        frames = packet.decode()
    except av.error.FFmpegError:
        return None
    return next((frame.rotation for frame in frames if isinstance(frame, av.VideoFrame)), None)


def _seconds(container: av.container.InputContainer, stream: av.video.VideoStream) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration else 0.0
