"""A part of a video, decoded: what decoders say of its frames, its stored frames as JPEG, its tiny frames.

A whole video is one part; a long one may be several, decoded by several workers and joined here. Joined parts are
exactly what one pass gives: they meet at keyframes, and each knows which stored frames are its own.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipelines.ingest.child import Limits
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.decode import Crashed, Decoded, Planes, decode, stored_size
from pipelines.ingest.pack import Place
from pipelines.ingest.probe import Probe
from pipelines.ingest.reject import Unusable
from pipelines.ingest.task import DecodeTask

_BACKENDS = {"auto": ("pyav", "ffmpeg"), "pyav": ("pyav",), "ffmpeg": ("ffmpeg",)}


@dataclass(frozen=True)
class Segment:
    """Frames from keyframe `start` to before keyframe `stop` (ticks); None is the video's end."""

    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True)
class Part:
    """`places` locate the JPEGs of stored frames `first`, `first` + 1, ... in a file; `decoded` says what they show."""

    decoded: Decoded
    first: int
    places: NDArray[np.int64]


def make_task(video: Probe, config: IngestConfig, segment: Segment) -> DecodeTask:
    """How `segment` of a probed video is to be decoded."""
    return DecodeTask(
        stream=video.stream,
        time_base=video.time_base,
        rate=video.fps,
        rotation=video.rotation,
        height=video.height,
        size=stored_size(video, config.long_side),
        fps=stored_rate(video, config),
        max_pixels=config.max_pixels,
        start=segment.start,
        stop=segment.stop,
    )


def stored_rate(video: Probe, config: IngestConfig) -> Fraction:
    """Stored frames per second: what is configured, or the video's own rate where that is lower."""
    return min(Fraction(config.fps).limit_denominator(1001), video.fps)


def decode_part(
    path: Path, video: Probe, config: IngestConfig, segment: Segment, frames: IO[bytes], tiny: IO[bytes]
) -> Part:
    """Decode one segment: JPEGs of its stored frames go to the file `frames`, tiny frames of all to the file `tiny`.

    Raises Unusable where nothing decodes or a limit is passed.
    """
    task = make_task(video, config, segment)
    limits = Limits(60 + config.deadline_factor * video.seconds, int(config.max_child_mib * 2**20))
    backends = _BACKENDS[config.backend]
    for backend in backends:
        frames.seek(0)
        frames.truncate()
        tiny.seek(0)
        tiny.truncate()
        spool = _Spool(frames, config.quality, round(video.seconds * float(task.fps) * 1.5) + 100)
        try:
            decoded = decode(path, task, backend, limits, video.packets - video.edited_out, tiny, spool.store)
        except Crashed as crash:
            if backend == backends[-1]:
                raise Unusable("decode", "crashed", str(crash)) from crash
            continue
        frames.flush()
        tiny.flush()
        return Part(decoded, task.number(int(decoded.ticks[0])), np.array(spool.places, np.int64).reshape(-1, 2))
    raise AssertionError("one of the backends has answered")


class _Spool:
    """Appends frames as JPEG to a file and remembers where each lies."""

    def __init__(self, file: IO[bytes], quality: int, limit: int) -> None:
        self.places: list[Place] = []
        self._file, self._quality, self._limit, self._end = file, quality, limit, 0

    def store(self, planes: Planes) -> None:
        if len(self.places) >= self._limit:
            raise Unusable("decode", "bad_times", f"its time stamps ask for more than {self._limit} frames")
        data = simplejpeg.encode_jpeg_yuv_planes(*planes, quality=self._quality)
        self._file.write(data)
        self.places.append((self._end, len(data)))
        self._end += len(data)


def save_part(part: Part, file: Path) -> None:
    """Write a part's numbers to `file` (npz); its frames are files of their own."""
    decoded = part.decoded
    with file.open("wb") as out:
        np.savez(
            out,
            ticks=decoded.ticks,
            corrupt=decoded.corrupt,
            missing=decoded.missing,
            places=part.places,
            counts=np.array([part.first, decoded.stored, decoded.error_lines], np.int64),
            errors=np.frombuffer(decoded.errors.encode(), np.uint8),
        )


def load_part(file: Path) -> Part:
    """Read what `save_part` wrote."""
    with np.load(file, allow_pickle=False) as arrays:
        first, stored, error_lines = (int(value) for value in arrays["counts"])
        decoded = Decoded(
            arrays["ticks"],
            arrays["corrupt"],
            arrays["missing"],
            stored,
            error_lines,
            arrays["errors"].tobytes().decode(),
        )
        return Part(decoded, first, arrays["places"])


def join_parts(parts: Sequence[Part], sources: Sequence[tuple[Path, Path]], frames: IO[bytes], tiny: IO[bytes]) -> Part:
    """Join the parts of one video, in order. `sources` are their files of frames and of tiny frames, which are copied
    to `frames` and `tiny`.

    Where a part begins late, because its first frames are lost, the last frame before it is shown until then, as in one
    pass.
    """
    assert parts
    places: list[NDArray[np.int64]] = []
    offset, end = 0, parts[0].first
    for part, (part_frames, part_tiny) in zip(parts, sources, strict=True):
        if part.first > end:
            places.append(np.repeat(places[-1][-1:], part.first - end, axis=0))
        places.append(part.places + np.array([offset, 0]))
        end = part.first + len(part.places)
        offset += part_frames.stat().st_size
        for source, sink in ((part_frames, frames), (part_tiny, tiny)):
            with source.open("rb") as file:
                shutil.copyfileobj(file, sink, 1 << 20)
    frames.flush()
    tiny.flush()
    joined = Decoded(
        np.concatenate([part.decoded.ticks for part in parts]),
        np.concatenate([part.decoded.corrupt for part in parts]),
        np.concatenate([part.decoded.missing for part in parts]),
        sum(len(piece) for piece in places),
        sum(part.decoded.error_lines for part in parts),
        "; ".join(part.decoded.errors for part in parts if part.decoded.errors)[:600],
    )
    return Part(joined, parts[0].first, np.concatenate(places))


def with_missing(part: Part, ticks: Sequence[int]) -> Part:
    """The part with more frames known to be missing."""
    missing = np.sort(np.concatenate([part.decoded.missing, np.array(ticks, np.int64)]))
    return replace(part, decoded=replace(part.decoded, missing=missing))
