"""One source to one pack: a plain function of a file, that any pool of workers may run and run again."""

from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
import simplejpeg

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.decode import Decoded, Planes, decode, stored_size
from pipelines.ingest.judge import judge
from pipelines.ingest.pack import Pack, Place, SourceRecord, find_or_make, pack_key
from pipelines.ingest.probe import Probe, probe
from pipelines.ingest.reject import Reject, Unusable
from pipelines.ingest.seeding import look_at
from pipelines.ingest.sources import Source
from pipelines.ingest.stages import stage
from pipelines.ingest.workspace import Workspace
from sstrack.clips.clip import Clip, clip_key
from sstrack.clips.shots import find_cuts, find_fades, shot_spans, split_span


def process_source(source: Source, config: IngestConfig, space: Workspace) -> str:
    """Find or make the pack of one source in `space`; returns its URI.

    A source that yields nothing gives a pack of rejects. Raises SSTrackError only where the disk refuses.
    """
    return find_or_make(space, pack_key(source.source_id, config), lambda frames: _fill(source, config, frames))


def _fill(source: Source, config: IngestConfig, frames: IO[bytes]) -> Pack:
    record = SourceRecord(source.source_id, source.uri, source.bytes, config.digest)
    try:
        video = probe(source.path, config)
    except Unusable as problem:
        return Pack(record, (), (_reject(record, problem),))
    fps = min(Fraction(config.fps).limit_denominator(1001), video.fps)
    record = _describe(record, video, decoded=None)
    size = stored_size(video, config.long_side)
    spool = _Spool(frames, config.quality, limit=round(video.seconds * float(fps) * 1.5) + 100)
    deadline = 60 + config.deadline_factor * video.seconds
    try:
        with stage("decode", video.seconds):
            decoded = decode(source.path, video, size, fps, deadline, spool.store)
    except Unusable as problem:
        return Pack(record, (), (_reject(record, problem),))
    frames.flush()
    record = _describe(record, video, decoded)
    with stage("judge", video.seconds):
        clips, rejects = _cut(record, decoded, float(fps), size, Path(frames.name), spool.places, config)
    if record.frames_decoded < record.frames_expected:
        rejects.insert(0, _lost(record, decoded))
    kept = _describe(record, video, decoded, clips=len(clips))
    return Pack(kept, tuple(clips), tuple(rejects))


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


def _cut(
    source: SourceRecord,
    decoded: Decoded,
    fps: float,
    size: tuple[int, int],
    frames: Path,
    places: list[Place],
    config: IngestConfig,
) -> tuple[list[tuple[Clip, tuple[Place, ...]]], list[Reject]]:
    """Kept clips and dropped spans of one decoded source."""
    zero = round(decoded.times[0] * fps)
    numbers = np.rint(decoded.times * fps).astype(np.int64) - zero  # stored frame that shows each decoded one, or later
    mean, spread, change = decoded.measures[:, :3].T
    dark = (mean < config.black_level) & (spread < 2 * config.flat_level)
    cuts = np.union1d(find_cuts(change, config.cut_level, config.cut_ratio), find_fades(dark))
    clips: list[tuple[Clip, tuple[Place, ...]]] = []
    rejects: list[Reject] = []
    for shot in shot_spans(np.unique(numbers[cuts]), len(places)):
        for first, end in split_span(shot, config.max_frames):
            start_s, end_s = (zero + first) / fps, (zero + end) / fps
            taken = tuple(places[first:end])
            rows = decoded.measures[(numbers >= first) & (numbers < end)]
            judged = judge(frames, taken, size, (start_s, end_s), rows, decoded.tiny_at, 0.0, config)
            if judged.reason:
                problem = Unusable("quality", judged.reason, f"{end - first} frames, {judged.detail}")
                rejects.append(_reject(source, problem, start_s, end_s))
                continue
            seeds = look_at(frames, taken, size, fps, config.seed_seconds, config.seed_score)
            clip = Clip(
                clip_id=clip_key(source.source_id, first, end, config.digest),
                source_id=source.source_id,
                start_s=round(start_s, 6),
                end_s=round(end_s, 6),
                fps=round(fps, 6),
                frames=end - first,
                width=size[0],
                height=size[1],
                scores=judged.scores,
                seed_boxes=seeds,
                config=config.digest,
                verdicts=judged.against,
                phash=judged.phash,
            )
            clips.append((clip, taken))
    return clips, rejects


def _describe(record: SourceRecord, video: Probe, decoded: Decoded | None, clips: int = 0) -> SourceRecord:
    return SourceRecord(
        record.source_id,
        record.source_uri,
        record.bytes,
        record.config,
        container=video.container,
        codec=video.codec,
        width=video.width,
        height=video.height,
        fps=round(float(video.fps), 6),
        seconds=round(video.seconds, 6),
        frames_expected=video.packets,
        frames_decoded=len(decoded.times) if decoded else 0,
        error_lines=decoded.error_lines if decoded else 0,
        clips=clips,
    )


def _lost(record: SourceRecord, decoded: Decoded) -> Reject:
    detail = (
        f"{record.frames_decoded} of {record.frames_expected} frames could be decoded, "
        f"{record.error_lines} error lines; what decoded is kept"
    )
    end = float(decoded.times[-1]) + 1 / record.fps
    tail = (round(end, 6), record.seconds) if end < record.seconds - 1 / record.fps else (None, None)
    return _reject(record, Unusable("decode", "frames_lost", detail), *tail)


def _reject(
    record: SourceRecord, problem: Unusable, start_s: float | None = None, end_s: float | None = None
) -> Reject:
    return Reject(
        record.source_id,
        record.source_uri,
        problem.stage,
        problem.reason,
        problem.detail[:500],
        record.config,
        start_s if start_s is None else round(start_s, 6),
        end_s if end_s is None else round(end_s, 6),
    )
