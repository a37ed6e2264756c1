"""Long videos in segments: parts that several workers decode at once, joined to what one pass gives.

A scheduler calls `plan`, `process_segment` once for each segment, anywhere and in any order, then `join_segments`:

    video = probe(source.path, config.probing)                                 # once: all that follows carries it
    segments = plan(video, config.segment_seconds)
    if len(segments) == 1:
        pack = pack_source(source, video, config, space)
    else:
        for segment in segments:                                       # in parallel
            process_segment(source, video, config, space, segment)
        pack = join_segments(source, video, config, space, segments)   # the same bytes as pack_source's

The last three find what is done. Segments begin at keyframes and know nothing of shots: clips are planned after the
join, so no clip ends where a segment does.
"""

import io
import os
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from pipelines import storage
from pipelines.crew.stages import stage
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.pack import Pack, find_or_make, pack_key
from pipelines.ingest.reject import Unusable
from pipelines.ingest.state.workspace import Workspace
from pipelines.ingest.video.cut import make_pack, rejected_pack
from pipelines.ingest.video.part import (
    Part,
    Segment,
    decode_part,
    distrust_short,
    join_parts,
    pack_part,
    unpack_part,
    with_missing,
)
from pipelines.ingest.video.probe import Probe
from pipelines.ingest.video.source import Source
from pipelines.ingest.video.tiny import TinyFrames

_TAIL = struct.Struct("<3Q")
"""Bytes of frames, of tiny frames, of the numbers, which lie in this order in a part's file, before this tail."""
_COPY = 8 << 20


def plan(video: Probe, seconds: float) -> tuple[Segment, ...]:
    """Cut a video into segments of at least `seconds`, at keyframes; one segment where it is shorter or
    its container cannot be entered in its middle."""
    least = round(seconds / video.time_base)
    cuts: list[int] = []
    ends = video.origin + round(video.seconds / video.time_base)
    last = video.origin
    for tick in sorted(video.keyframes):
        if tick - last >= least and ends - tick >= least // 2:
            cuts.append(tick)
            last = tick
    return tuple(Segment(start, stop) for start, stop in zip([None, *cuts], [*cuts, None], strict=True))


def process_segment(source: Source, video: Probe, config: IngestConfig, space: Workspace, segment: Segment) -> str:
    """Find or make the part of one segment in `space`; returns its URI. `video` may come without its keyframes.

    Raises SSTrackError where the disk or the store refuses. A segment in which nothing decodes leaves a part that says
    why.
    """
    final = _uri(source, config.digest, space, segment)
    if storage.exists(final):
        return final
    with storage.draft(space.scratch / final.rsplit("/", 1)[-1]) as draft, storage.explained(draft):
        with draft.open("wb") as frames, tempfile.TemporaryFile(dir=space.scratch) as tiny:
            try:
                with stage("decode", video.seconds, source.source_id):
                    numbers = pack_part(decode_part(source.path, video, config.decoding, segment, frames, tiny))
            except Unusable as problem:
                numbers = "\n".join((problem.stage, problem.reason, problem.detail)).encode()
                for file in (frames, tiny):
                    file.seek(0)
                    file.truncate()
            frames_end, tiny_end = frames.seek(0, os.SEEK_END), tiny.seek(0, os.SEEK_END)
            tiny.seek(0)
            while data := tiny.read(_COPY):
                frames.write(data)
            frames.write(numbers + _TAIL.pack(frames_end, tiny_end, len(numbers)))
        storage.move_if_absent(draft, final)
    return final


def join_segments(
    source: Source, video: Probe, config: IngestConfig, space: Workspace, segments: Sequence[Segment]
) -> str:
    """Find or make the pack of a source whose segments are all done; returns its URI and removes the parts.

    A source of which no segment decodes gives a pack of rejects, as in one pass.
    """
    parts = [_uri(source, config.digest, space, segment) for segment in segments]
    pack = find_or_make(
        space,
        pack_key(source.source_id, config.digest),
        lambda frames: _join(source, video, config, segments, parts, frames),
    )
    storage.delete(parts)
    return pack


def _join(
    source: Source,
    video: Probe,
    config: IngestConfig,
    segments: Sequence[Segment],
    uris: Sequence[str],
    frames: IO[bytes],
) -> Pack:
    record, problems = source.record(config.digest), list[Unusable]()
    parts: list[Part] = []
    failed: list[Segment] = []
    with tempfile.TemporaryFile(dir=Path(frames.name).parent) as tiny:
        for segment, uri in zip(segments, uris, strict=True):
            size = storage.size(uri)
            frames_bytes, tiny_bytes, length = _TAIL.unpack(storage.read_range(uri, size - _TAIL.size, _TAIL.size))
            numbers = storage.read_range(uri, frames_bytes + tiny_bytes, length)
            if not frames_bytes:
                failed.append(segment)
                problems.append(Unusable(*numbers.decode().split("\n", 2)))
                continue
            parts.append(unpack_part(io.BytesIO(numbers), frames.tell()))
            _copy(uri, 0, frames_bytes, frames)
            _copy(uri, frames_bytes, tiny_bytes, tiny)
        if not parts:
            return rejected_pack(record, problems[0])
        frames.flush()
        tiny.flush()
        # a failed segment's keyframes never came, which makes a gap of it
        lost = [tick for tick in video.keyframes if any(_holds(segment, tick) for segment in failed)]
        if config.backend == "ffmpeg":
            parts = distrust_short(parts, video)
        part = with_missing(join_parts(parts), lost)
        return make_pack(record, video, part, frames, TinyFrames(tiny, len(part.decoded.ticks)), config)


def _copy(uri: str, start: int, size: int, sink: IO[bytes]) -> None:
    for at in range(start, start + size, _COPY):
        sink.write(storage.read_range(uri, at, min(_COPY, start + size - at)))


def _holds(segment: Segment, tick: int) -> bool:
    return (segment.start is None or tick >= segment.start) and (segment.stop is None or tick < segment.stop)


def _uri(source: Source, digest: str, space: Workspace, segment: Segment) -> str:
    start, stop = (("" if tick is None else str(tick)) for tick in (segment.start, segment.stop))
    return storage.join(space.packs, f"{pack_key(source.source_id, digest)}.{start}-{stop}.part")
