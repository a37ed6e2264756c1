"""Long videos in segments: parts that several workers decode at once, joined to what one pass gives.

A scheduler calls `plan`, `process_segment` once for each segment, anywhere and in any order, then `join_segments`:

    segments = plan(video, config)
    if len(segments) == 1:
        pack = process_source(source, config, state)
    else:
        parts = [process_segment(source, config, state, segment) for segment in segments]   # in parallel
        pack = join_segments(source, config, state, segments)

All three find what is done. Segments begin at keyframes and know nothing of shots: clips are planned after the join, so
no clip ends where a segment does.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from pipelines import storage
from pipelines.ingest.clip_job import make_pack, rejected_pack, source_record
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.pack import Pack, find_or_make, pack_key
from pipelines.ingest.part import Segment, decode_part, join_parts, load_part, save_part, with_missing
from pipelines.ingest.probe import Probe, probe
from pipelines.ingest.reject import Unusable
from pipelines.ingest.sources import Source
from pipelines.ingest.tiny import TinyFrames


def plan(video: Probe, config: IngestConfig) -> tuple[Segment, ...]:
    """Cut a video into segments of at least `config.segment_seconds`, at keyframes; one segment where it is shorter or
    its container cannot be entered in its middle."""
    least = round(config.segment_seconds / video.time_base)
    cuts: list[int] = []
    ends = video.origin + round(video.seconds / video.time_base)
    last = video.origin
    for tick in sorted(video.keyframes):
        if tick - last >= least and ends - tick >= least // 2:
            cuts.append(tick)
            last = tick
    return tuple(Segment(start, stop) for start, stop in zip([None, *cuts], [*cuts, None], strict=True))


def process_segment(source: Source, config: IngestConfig, state: Path, segment: Segment) -> Path:
    """Find or make the part of one segment under `state`; returns its folder.

    Raises SSTrackError where the disk refuses. A segment in which nothing decodes leaves an empty part.
    """
    final = _folder(source, config, state, segment)
    if final.exists():
        return final
    draft = state / "tmp" / f"{final.name}.{os.getpid()}"
    with storage.explained(final):
        draft.mkdir(parents=True)
        final.parent.mkdir(exist_ok=True)
        try:
            with (draft / "frames.bin").open("wb+") as frames, (draft / "tiny.bin").open("wb+") as tiny:
                try:
                    part = decode_part(source.path, probe(source.path, config), config, segment, frames, tiny)
                except Unusable as problem:
                    (draft / "failed.txt").write_text(f"{problem.stage}\n{problem.reason}\n{problem.detail}")
                else:
                    save_part(part, draft / "part.npz")
                for file in (frames, tiny):
                    file.flush()
                    os.fsync(file.fileno())
            storage.sync_folder(draft)
            draft.rename(final)
            storage.sync_folder(final.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return final


def join_segments(source: Source, config: IngestConfig, state: Path, segments: Sequence[Segment]) -> Path:
    """Find or make the pack of a source whose segments are all done; returns its folder and removes the parts.

    Raises Unusable never: a source of which no segment decodes gives a pack of rejects.
    """
    folders = [_folder(source, config, state, segment) for segment in segments]
    pack = find_or_make(
        state, pack_key(source, config), lambda frames: _join(source, config, segments, folders, frames)
    )
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return pack


def _join(
    source: Source, config: IngestConfig, segments: Sequence[Segment], folders: Sequence[Path], frames: IO[bytes]
) -> Pack:
    video = probe(source.path, config)
    record = source_record(source, config)
    usable = [folder for folder in folders if (folder / "part.npz").exists()]
    failed = [segment for segment, folder in zip(segments, folders, strict=True) if folder not in usable]
    if not usable:
        stage, reason, detail = (folders[0] / "failed.txt").read_text().split("\n", 2)
        return rejected_pack(record, Unusable(stage, reason, detail))
    with tempfile.TemporaryFile(dir=Path(frames.name).parent) as tiny:
        parts = [load_part(folder / "part.npz") for folder in usable]
        files = [(folder / "frames.bin", folder / "tiny.bin") for folder in usable]
        part = join_parts(parts, files, frames, tiny)
        if failed:  # their keyframes never came, which makes a gap of each
            part = with_missing(part, [tick for tick in video.keyframes if any(_holds(one, tick) for one in failed)])
        return make_pack(record, video, part, frames, TinyFrames(tiny, len(part.decoded.ticks)), config)


def _holds(segment: Segment, tick: int) -> bool:
    return (segment.start is None or tick >= segment.start) and (segment.stop is None or tick < segment.stop)


def _folder(source: Source, config: IngestConfig, state: Path, segment: Segment) -> Path:
    return state / "parts" / f"{pack_key(source, config)}.{segment.start}-{segment.stop}"
