"""What a file claims to be, without decoding more than one frame: container, size, rate, length, frames to expect."""

import logging
from array import array
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import av.video
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from pipelines import storage
from pipelines.footage.appended import bytes_behind
from pipelines.footage.containers import BROADCAST, CONTAINERS, INDEXED, JOINED_UNREAD, is_one_of, picture_kind
from pipelines.footage.fields import may_interlace
from pipelines.footage.light import Light, light_of
from pipelines.footage.read import MOST_A_SECOND
from pipelines.footage.square import pixel_shape, square_size, states_shape
from pipelines.footage.streams import chosen_among, film_of
from pipelines.footage.tags import ColourTags, tags_of
from pipelines.footage.timeline import (
    NO_TIME,
    Clock,
    Packets,
    clock_of,
    first_part,
    last_before_seams,
    usual_rate,
    usual_step,
)
from pipelines.footage.turn import UPRIGHT, Turn, turn_of
from pipelines.ingest.config import ProbeLimits
from pipelines.ingest.reject import Unusable
from pipelines.ingest.video.bars import bars_of
from pipelines.ingest.video.jpeg import Colour
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
_LOOK_FRAMES = 24
"""Frames of an interlaced stream that are decoded to learn how many packets make one."""
_INTERLACED = {2, 3, 4, 5}
"""ffmpeg's numbers of field orders with two fields a frame."""
_SHORT_S = 1.0
"""A header that promises this many seconds more than there is speaks of lost frames; less is sound that goes on."""
_FAR = 1.25
"""A stated rate this many times off what frames are apart is not the film's."""
_ABSURD = 16
"""So is one this many times above it, which no film with repeats left out has: raw DV states 60,000 a second."""
_PLANAR = {"yuv420p", "yuvj420p"}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG

_NO_BARS = Bars()


@dataclass(frozen=True)
class Probe:
    """One video stream: `width` and `height` as shown (upright, square pixels), `packets` frames in the file, at least.

    `fps` is the rate of its action, pauses apart; `seconds` is how long it is with them. `edited_out` of its frames are
    not to be shown, as the file's edit list says. `turn` stands decoded frames upright; `whole` says whether interlaced
    ones are made whole, `light` what HDR they hold. `clock` makes pressed times of the container's (see
    `footage/timeline.py`); `origin` is the file's second 0 and `end` its last frame's end in pressed ticks of
    `time_base`, `timed` whether its packets carry times at all. `keyframes` are ticks at which decoding may begin,
    ascending, empty where the container has no index or its times are not plain. `bars` of the upright frame are cut
    off first; `width` and `height` are without them, `bar_share` is the part of the picture that they take. `pixels` is
    the upright frame's width and height without bars in its own pixels, `planar` whether those are 8-bit YUV 4:2:0, and
    `colour` what their numbers mean, `matrix` as far as the container alone says so; `coded` is the size of frames as
    they are decoded, whose pixels are `shape` times as wide as high, `shape_stated` by the container for all frames.
    `treated` says in words what is done to pictures. `seams` are decoding times of packets before a jump of times,
    which are no worse for being called broken by a demuxer. `appended` bytes of a second film lie behind this one, out
    of reach.
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
    turn: Turn
    whole: bool
    light: Light | None
    time_base: Fraction
    clock: Clock
    timed: bool
    origin: int
    end: int
    keyframes: array
    pixels: tuple[int, int]
    coded: tuple[int, int]
    shape: Fraction
    shape_stated: bool
    planar: bool
    matrix: int
    colour: Colour
    bars: Bars = _NO_BARS
    bar_share: float = 0.0
    treated: tuple[str, ...] = ()
    seams: frozenset[int] = frozenset()
    appended: int = 0


def probed(path: Path, limits: ProbeLimits) -> Probe | Unusable:
    """What a file claims to be, or why it cannot be used."""
    try:
        return probe(path, limits)
    except Unusable as problem:
        return problem


def probe(path: Path, limits: ProbeLimits) -> Probe:
    """Read a file's headers and count its packets, which reads the whole file: once for each source, whose errands
    carry the result. Raises Unusable for what is no video or breaks a limit."""
    with storage.explained(path, "read"):
        size = path.stat().st_size
    if size == 0:
        raise Unusable("probe", "empty", "the file holds no bytes")
    if size > limits.max_mib * 2**20:
        raise Unusable("probe", "file_too_large", f"{size} bytes, the limit is {limits.max_mib:g} MiB")
    try:
        # by descriptor, so that no name is ever read as a pattern, a protocol or an option
        with path.open("rb") as file, av.open(f"file:/dev/fd/{file.fileno()}", options=OPTIONS) as container:
            video = _read(container, limits)
            return replace(video, appended=bytes_behind(path)) if is_one_of(video.container, JOINED_UNREAD) else video
    except av.error.FFmpegError as error:  # its whole text ends with the descriptor's name
        if picture := picture_kind(path):
            raise Unusable("probe", "picture", f"{picture}: a picture that no decoder here plays as video") from error
        raise Unusable("probe", "not_a_video", error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise Unusable("probe", "not_a_video", f"its headers hold no text: {error.reason}") from error


def _read(container: av.container.InputContainer, limits: ProbeLimits) -> Probe:
    stream = film_of(container)
    if stream is None:
        raise Unusable("probe", "no_video", "the file has no video stream but covers, stills and thumbnails, if any")
    codec = stream.codec_context
    if codec is None:
        raise Unusable("probe", "unknown_codec", "no decoder for its video stream")
    codec.thread_count = 1
    if codec.width * codec.height > limits.max_pixels:
        raise Unusable("probe", "frame_too_large", f"{codec.width}x{codec.height}, limit {limits.max_pixels} pixels")
    name = container.format.name
    by_container = tags_of(codec)
    shape_stated = states_shape(container, stream)
    scan = _scan(container, stream, round(limits.max_seconds * MOST_A_SECOND))
    time_base = stream.time_base or Fraction(1, 1000)
    fps = _rate(stream, scan, time_base)
    clock = clock_of(scan.packets, time_base, round(1 / (fps * time_base)), spliced=is_one_of(name, BROADCAST))
    timed = clock.end > clock.first
    length = _Length(container, stream, scan, clock, fps)
    if length.film > limits.max_seconds:
        raise Unusable("probe", "too_long", f"{length.film:.0f} s, the limit is {limits.max_seconds:g} s")
    if length.frames == 1:
        raise Unusable("probe", "too_short", "the film is one frame, a picture and not a video")
    turn = UPRIGHT if scan.first is None else turn_of(scan.first)
    shape = pixel_shape(stream)
    width, height = square_size(codec.width, codec.height, shape)
    across, down = codec.width, codec.height
    if turn.on_its_side:
        width, height, across, down = height, width, down, across
    if min(width, height) < limits.min_side:
        raise Unusable("probe", "too_small", f"{width}x{height}, the smallest usable side is {limits.min_side}")
    bars = bars_of(container, stream, turn, scan.first, scan.keyframes) if limits.crop_bars else _NO_BARS
    left, kept = 1 - (bars.left + bars.right) / across, 1 - (bars.top + bars.bottom) / down
    width, height = round(width * left), round(height * kept)
    indexed = is_one_of(name, INDEXED)
    whole = limits.deinterlace and may_interlace(codec.name, codec.pix_fmt)
    interlaced = whole and (scan.interlaced or scan.interlaced_later)
    by_stream = tags_of(codec)
    tags = by_stream.filled(by_container)
    light = light_of(tags.transfer, tags.primaries)
    said = (
        chosen_among(container, stream),
        turn.said,
        "deinterlaced" if interlaced else "",
        "" if light is None else light.said,
    )
    return Probe(
        stream=stream.index,
        container=name,
        codec=codec.name,
        width=width,
        height=height,
        fps=fps,
        seconds=length.seconds,
        packets=length.frames,
        edited_out=scan.edited_out,
        turn=turn,
        whole=whole,
        light=light,
        time_base=time_base,
        clock=clock,
        timed=timed,
        origin=clock.press(clock.first),
        end=clock.press(clock.end),
        # where pictures before a jump shape those after it, a part would not be what one pass gives
        keyframes=scan.keyframes if indexed and clock.plain and not interlaced else array("q"),
        pixels=(across - bars.left - bars.right, down - bars.top - bars.bottom),
        coded=(codec.width, codec.height),
        shape=shape,
        shape_stated=shape_stated,
        planar=codec.pix_fmt in _PLANAR and light is None,
        matrix=ColourTags().matrix if by_stream.said else tags.matrix,
        colour=Colour(tags.matrix, codec.color_range == _FULL_RANGE or codec.pix_fmt == "yuvj420p"),
        bars=bars,
        bar_share=1 - left * kept,
        treated=tuple(word for word in said if word),
        seams=frozenset() if clock.plain else last_before_seams(scan.packets, clock),
    )


@dataclass(frozen=True)
class _Scan:
    """What one reading of all packets found. `first` frame; `packets` shown, in the order of the file; `count` of all,
    `edited_out` of them not shown; `interlaced` says whether it begins so, `interlaced_later` whether a later keyframe
    was; `shown` are times of the first frames of an interlaced stream, which took `looked` packets; ticks of
    `keyframes`."""

    first: av.VideoFrame | None
    packets: Packets
    count: int
    edited_out: int
    interlaced: bool
    interlaced_later: bool
    shown: NDArray[np.int64]
    looked: int
    keyframes: array

    @property
    def fields_apart(self) -> bool:
        """Whether fields come in packets of their own."""
        return self.interlaced and self.looked > 1.5 * (len(self.shown) + 2)


def _scan(container: av.container.InputContainer, stream: av.video.VideoStream, most: int) -> _Scan:
    first: av.VideoFrame | None = None
    count = edited_out = looked = keys = looking = 0
    interlaced_later, other = False, None
    interlaced = int(getattr(stream.codec_context, "field_order", 0) or 0) in _INTERLACED
    times, keyframes, shown = tuple(array("q") for _ in range(3)), array("q"), array("q")
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            count += 1
            if count > most:
                raise Unusable("probe", "too_many_frames", f"more than {most} of them")
            edited_out += packet.is_discard
            if not packet.is_discard:
                for column, value in zip(times, (packet.pts, packet.dts, packet.duration or 0), strict=True):
                    column.append(NO_TIME if value is None else value)
            if packet.pts is not None and packet.is_keyframe:
                keyframes.append(packet.pts)
            keys += packet.is_keyframe
            if first is None or (interlaced and len(shown) < _LOOK_FRAMES):
                frames = _decoded(packet, stream.codec_context)
                looked += 1
                shown.extend(NO_TIME if frame.pts is None else frame.pts for frame in frames)
                first = first or next(iter(frames), None)
                interlaced |= any(frame.interlaced_frame for frame in frames)
            elif packet.is_keyframe and keys & (keys - 1) == 0 and not interlaced:
                # a frame at the second, fourth, eighth, ... keyframe: broadcasts change in their course
                other, looking = _another(stream), _LOOK_FRAMES
            if other is not None and looking:
                frames = _decoded(packet, other)
                looking = 0 if frames else looking - 1
                interlaced_later |= any(frame.interlaced_frame for frame in frames)
    except av.error.FFmpegError as error:
        log.debug("packets end early: %s", error)  # the decoder's count tells how much is lost
    packets = Packets(*(np.array(column, np.int64) for column in times))
    times_shown = np.array(shown, np.int64)
    return _Scan(first, packets, count, edited_out, interlaced, interlaced_later, times_shown, looked, keyframes)


def _rate(stream: av.video.VideoStream, scan: _Scan, time_base: Fraction) -> Fraction:
    """Frames per second while something happens: as stated, or where frames are apart otherwise, as they are."""
    stated = stream.average_rate or stream.guessed_rate or Fraction(25)
    own = stream.codec_context.framerate
    # of a raw stream its demuxer says 25, whatever it is; encoders may have put ticks in the place of frames
    if (scan.packets.times == NO_TIME).all() and own and own <= MOST_A_SECOND:
        stated = own
    nominal = max(1, round(1 / (stated * time_base)))
    near = scan.shown if scan.fields_apart else first_part(scan.packets, time_base)
    step = usual_step(near, nominal)
    # frames that are rarer than stated are repeated, as ever; only fields were counted as if they were frames
    if nominal / _FAR <= step <= nominal * (_FAR if scan.fields_apart else _ABSURD):
        return stated
    return usual_rate(near, step, time_base)


class _Length:
    """How long a film is: `seconds` with pauses, `film` without them, and `frames` to expect."""

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.video.VideoStream,
        scan: _Scan,
        clock: Clock,
        fps: Fraction,
    ) -> None:
        pressed = clock.press(clock.end) - clock.press(clock.first)
        untimed = scan.packets.times == NO_TIME
        self.frames = scan.count
        if scan.fields_apart:
            self.frames = -(-scan.count // 2) if untimed.all() else min(scan.count, round(pressed / clock.step))
        self.film = float(pressed * clock.time_base) if pressed else float(self.frames / fps)
        self.seconds = float(clock.ticks * clock.time_base) if pressed else self.film
        stated = _seconds(container, stream, clock)
        promised = stream.frames > scan.count or (
            stream.frames == 0 and not is_one_of(container.format.name, BROADCAST)
        )
        # a header that counts frames and tells their length speaks of the film alone, not of sound that goes on
        counted = stream.frames > scan.count and stream.duration is not None
        if promised and stated > self.seconds + (1.5 / float(fps) if counted else _SHORT_S):
            self.seconds = self.film = stated
            self.frames = max(self.frames, stream.frames)


def _another(stream: av.video.VideoStream) -> VideoCodecContext:
    """A decoder beside the stream's own, which is to stay as the first frames leave it."""
    codec = av.CodecContext.create(stream.codec_context.codec.name, "r")
    assert isinstance(codec, VideoCodecContext)
    codec.extradata, codec.thread_count = stream.codec_context.extradata, 1
    return codec


def _decoded(packet: av.Packet, codec: VideoCodecContext) -> list[av.VideoFrame]:
    try:
        frames = codec.decode(packet)
    except av.error.FFmpegError:
        return []
    return list(frames)


def _seconds(container: av.container.InputContainer, stream: av.video.VideoStream, clock: Clock) -> float:
    """How long a header says the film is. One that states no stream's length counts from 0, not from a first frame."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 - max(0.0, float(clock.first * clock.time_base)) if container.duration else 0.0
