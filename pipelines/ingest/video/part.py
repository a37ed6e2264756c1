"""A part of a video, decoded: what decoders say of its frames, its stored frames as JPEG, its tiny frames.

A whole video is one part; a long one may be several, decoded by several workers and joined here. Joined parts are
exactly what one pass gives: they meet at keyframes, and each knows which stored frames are its own.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.config import Decoding, StoredFrames
from pipelines.ingest.pack import Place
from pipelines.ingest.reject import Unusable
from pipelines.ingest.video.decoding.decode import Crashed, Decoded, decode, distrusted, stored_size
from pipelines.ingest.video.decoding.drain import Limits
from pipelines.ingest.video.probe import Probe
from pipelines.ingest.video.task import DecodeTask

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


def make_task(video: Probe, stored: StoredFrames, segment: Segment) -> DecodeTask:
    """How `segment` of a probed video is to be decoded."""
    return DecodeTask(
        stream=video.stream,
        time_base=video.time_base,
        rate=video.fps,
        clock=video.clock,
        timed=video.timed,
        turn=video.turn,
        whole=video.whole,
        light=video.light,
        seams=video.seams,
        bars=video.bars,
        height=video.height,
        source=video.pixels,
        coded=video.coded,
        shape=video.shape,
        shape_stated=video.shape_stated,
        planar=video.planar,
        colour=video.colour,
        matrix=video.matrix,
        size=stored_size(video, stored.long_side),
        fps=stored_rate(video, stored.fps),
        quality=stored.quality,
        max_pixels=stored.max_pixels,
        end=video.end,
        start=segment.start,
        stop=segment.stop,
    )


def stored_rate(video: Probe, fps: float) -> Fraction:
    """Stored frames per second: `fps`, or the video's own rate where that is lower."""
    return min(Fraction(fps).limit_denominator(1001), video.fps)


def decode_part(path: Path, video: Probe, how: Decoding, segment: Segment, frames: IO[bytes], tiny: IO[bytes]) -> Part:
    """Decode one segment: JPEGs of its stored frames go to the file `frames`, tiny frames of all to the file `tiny`.

    Raises Unusable where nothing decodes or a limit is passed.
    """
    limits = Limits(60 + how.deadline_factor * video.seconds, how.memory_bytes)
    backends = _BACKENDS[how.backend]
    for backend in backends:
        try:
            part = _attempt(path, video, make_task(video, how.stored, segment), backend, limits, frames, tiny)
            late = segment.start is not None and part.decoded.ticks[0] > segment.start
            if late or (segment.start is not None and backend == "ffmpeg" and part.decoded.corrupt.any()):
                # it jumped too far, or erred over frames before the segment: decode from the file's start
                task = replace(make_task(video, how.stored, segment), seek=False)
                part = _attempt(path, video, task, backend, limits, frames, tiny)
        except Crashed as crash:
            if backend == backends[-1]:
                raise Unusable("decode", "crashed", str(crash)) from crash
        else:
            whole = segment == Segment() and backend == "ffmpeg"
            return distrust_short([part], video)[0] if whole else part
    raise AssertionError("one of the backends has answered")


def distrust_short(parts: Sequence[Part], video: Probe) -> list[Part]:
    """The parts of a video as ffmpeg decoded them: all distrusted if one is, or if frames are missing."""
    count = sum(len(part.decoded.ticks) for part in parts)
    if count >= video.packets - video.edited_out and not any(part.decoded.corrupt.any() for part in parts):
        return list(parts)
    return [replace(part, decoded=distrusted(part.decoded)) for part in parts]


def _attempt(
    path: Path,
    video: Probe,
    task: DecodeTask,
    backend: str,
    limits: Limits,
    frames: IO[bytes],
    tiny: IO[bytes],
) -> Part:
    for file in (frames, tiny):
        file.seek(0)
        file.truncate()
    spool = Spool(frames, round(video.seconds * float(task.fps) * 1.5) + 100)
    decoded = decode(path, task, backend, limits, tiny, spool.store)
    first = task.number(int(decoded.ticks[0]))
    if task.start is not None or task.stop is not None:
        del spool.places[max(1, task.number(task.end if task.stop is None else task.stop) - first) :]
        frames.truncate(sum(spool.places[-1]))
    frames.flush()
    tiny.flush()
    places = np.array(spool.places, np.int64).reshape(-1, 2)
    return Part(replace(decoded, stored=len(places)), first, places)


class Spool:
    """Appends JPEGs to a file and remembers where each lies."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self.places: list[Place] = []
        self._file, self._limit, self._end = file, limit, 0

    def store(self, data: bytes) -> None:
        if len(self.places) >= self._limit:
            raise Unusable("decode", "bad_times", f"its time stamps ask for more than {self._limit} frames")
        self._file.write(data)
        self.places.append((self._end, len(data)))
        self._end += len(data)


def pack_part(part: Part) -> bytes:
    """A part's numbers as bytes; its frames are files of their own."""
    decoded, out = part.decoded, io.BytesIO()
    np.savez(
        out,
        ticks=decoded.ticks,
        corrupt=decoded.corrupt,
        missing=decoded.missing,
        places=part.places,
        counts=np.array([part.first, decoded.stored, decoded.error_lines], np.int64),
        errors=np.frombuffer(decoded.errors.encode(), np.uint8),
    )
    return out.getvalue()


def unpack_part(data: IO[bytes], offset: int) -> Part:
    """Read what `pack_part` wrote, of a part whose frames now lie `offset` bytes further on."""
    with np.load(data, allow_pickle=False) as arrays:
        first, stored, error_lines = (int(value) for value in arrays["counts"])
        decoded = Decoded(
            arrays["ticks"],
            arrays["corrupt"],
            arrays["missing"],
            stored,
            error_lines,
            arrays["errors"].tobytes().decode(),
        )
        return Part(decoded, first, arrays["places"] + np.array([offset, 0]))


def join_parts(parts: Sequence[Part]) -> Part:
    """Join the parts of one video, in order; their frames have been put behind each other in one file.

    Where a part begins late, because its first frames are lost, the last frame before it is shown until then, as in one
    pass.
    """
    assert parts
    places: list[NDArray[np.int64]] = []
    end = parts[0].first
    for part in parts:
        if part.first > end:
            places.append(np.repeat(places[-1][-1:], part.first - end, axis=0))
        places.append(part.places)
        end = part.first + len(part.places)
    decoded = [part.decoded for part in parts]
    joined = Decoded(
        np.concatenate([one.ticks for one in decoded]),
        np.concatenate([one.corrupt for one in decoded]),
        np.concatenate([one.missing for one in decoded]),
        sum(len(piece) for piece in places),
        sum(one.error_lines for one in decoded),
        "; ".join(one.errors for one in decoded if one.errors)[:600],
    )
    return Part(joined, parts[0].first, np.concatenate(places))


def with_missing(part: Part, ticks: Sequence[int]) -> Part:
    """The part with more frames known to be missing."""
    missing = np.sort(np.concatenate([part.decoded.missing, np.array(ticks, np.int64)]))
    return replace(part, decoded=replace(part.decoded, missing=missing))
