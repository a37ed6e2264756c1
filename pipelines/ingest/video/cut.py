"""One source to one pack: a plain function of a file, that any pool of workers may run and run again."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipelines.crew.stages import stage
from pipelines.footage.timeline import uncovered
from pipelines.ingest.clip.judge import judge
from pipelines.ingest.clip.pseudo import pseudo_track
from pipelines.ingest.clip.seeding import look_at
from pipelines.ingest.config import IngestConfig, ShotLevels
from pipelines.ingest.pack import Pack, Place, SourceRecord, find_or_make, pack_key
from pipelines.ingest.reject import Reject, Unusable
from pipelines.ingest.state.workspace import Workspace
from pipelines.ingest.video.confirm import confirmed
from pipelines.ingest.video.damage import clean_spans, parted, spans_of
from pipelines.ingest.video.decoding.decode import stored_size
from pipelines.ingest.video.part import Part, Segment, decode_part
from pipelines.ingest.video.probe import Probe
from pipelines.ingest.video.source import Source
from pipelines.ingest.video.timeline import Timeline, timeline_of
from pipelines.ingest.video.tiny import TinyFrames
from sstrack.clips.clip import Box, Clip, clip_key
from sstrack.clips.shots import find_cuts, find_fades, shot_spans, split_span

_BIT = 0.1
"""Share of a stored frame that is told of where such shares come to more than one frame."""


def pack_source(source: Source, video: Probe | Unusable, config: IngestConfig, space: Workspace) -> str:
    """Find or make the pack of one source in `space`; returns its URI. `video` is what its probe came to.

    A source that yields nothing gives a pack of rejects. Raises SSTrackError only where the disk refuses.
    """
    return find_or_make(
        space, pack_key(source.source_id, config.digest), lambda frames: _fill(source, video, config, frames)
    )


def _fill(source: Source, video: Probe | Unusable, config: IngestConfig, frames: IO[bytes]) -> Pack:
    record = source.record(config.digest)
    if isinstance(video, Unusable):
        return rejected_pack(record, video)
    record = _describe(record, video)
    try:
        with tempfile.TemporaryFile(dir=Path(frames.name).parent) as tiny:
            with stage("decode", video.seconds):
                part = decode_part(source.path, video, config.decoding, Segment(), frames, tiny)
            return make_pack(record, video, part, frames, TinyFrames(tiny, len(part.decoded.ticks)), config)
    except Unusable as problem:
        return rejected_pack(record, problem)


def rejected_pack(record: SourceRecord, problem: Unusable) -> Pack:
    """The pack of a source that yields nothing."""
    return Pack(record, (), (record.reject(problem),))


def make_pack(
    record: SourceRecord, video: Probe, part: Part, frames: IO[bytes], tiny: TinyFrames, config: IngestConfig
) -> Pack:
    """Cut a wholly decoded video, whose JPEGs lie in the file `frames`, into clips and say what is dropped."""
    decoded, timeline = part.decoded, timeline_of(video, part, config.stored)
    record = replace(
        _describe(record, video),
        frames_expected=timeline.expected,
        frames_decoded=len(decoded.ticks),
        frames_corrupt=int(decoded.corrupt.sum()),
        error_lines=decoded.error_lines,
    )
    rejects = _losses(record, video, timeline, decoded.errors)
    places = [(int(offset), int(size)) for offset, size in part.places]
    size = stored_size(video, config.long_side)
    with stage("judge", video.seconds):
        clips, dropped = _cut(record, timeline, tiny, size, video.bar_share, Path(frames.name), places, config)
    rejects += dropped
    rejects += _unseen(record, timeline, [clip for clip, _ in clips], rejects)
    return Pack(replace(record, clips=len(clips)), tuple(clips), tuple(rejects))


def _unseen(record: SourceRecord, timeline: Timeline, clips: list[Clip], rejects: list[Reject]) -> list[Reject]:
    """A row for every stretch that is in no clip and no other row, so that all seconds of the source are told of."""
    spans = [(clip.start_s, clip.end_s) for clip in clips]
    spans += [(row.start_s, row.end_s) for row in rejects if row.start_s is not None and row.end_s is not None]
    rows: list[Reject] = []
    frame_s = 1 / timeline.fps
    holes, all_holes = (uncovered(spans, record.seconds, least) for least in (frame_s, _BIT * frame_s))
    if sum(end - start for start, end in all_holes if end - start < frame_s) > frame_s:
        holes = all_holes  # many small ones are more than a frame together
    for start, end in holes:
        inside = timeline.end_seconds(len(timeline.damage)) - 0.5 / timeline.fps
        if end <= inside:
            problem = Unusable("shots", "cut", "frames on both sides of a cut are left out")
        else:
            problem = Unusable("decode", "no_frames", "nothing was decoded that is shown in these seconds")
        rows.append(record.reject(problem, start, end))
    return rows


def _losses(record: SourceRecord, video: Probe, timeline: Timeline, errors: str) -> list[Reject]:
    """A row for each damaged span and one for frames that never came."""
    rejects: list[Reject] = []
    said = f"; the decoder said: {errors}" if errors else ""
    if video.edited_out:
        detail = f"{video.edited_out} of {record.frames_expected} frames are cut off by the file's own edit list"
        rejects.append(record.reject(Unusable("decode", "edited_out", detail)))
    if video.appended:
        detail = f"{video.appended} bytes behind the film are another one, which its index does not name; part the file"
        rejects.append(record.reject(Unusable("decode", "appended", detail)))
    if record.frames_decoded + video.edited_out < record.frames_expected:
        detail = (
            f"{record.frames_decoded} of {record.frames_expected} frames could be decoded, "
            f"{record.error_lines} error lines; what is sound is kept{said}"
        )
        end = float(timeline.times[-1]) + 1 / float(video.fps)
        end = max(end, timeline.end_seconds(len(timeline.damage)))
        tail = (end, record.seconds) if end < record.seconds - 1 / float(video.fps) else (None, None)
        rejects.append(record.reject(Unusable("decode", "frames_lost", detail), *tail))
    for first, end in spans_of(timeline.damage):
        detail = f"{end - first} stored frames are damaged, or predicted from damaged ones, or lost{said}"
        problem = Unusable("decode", "corrupt", detail)
        rejects.append(record.reject(problem, timeline.seconds(first), timeline.end_seconds(end)))
    for number, lasts, still in timeline.pauses:
        if still:
            problem = Unusable("decode", "frozen", f"a pause: one picture stands still for {lasts:.1f} s")
        else:
            told = f"for {lasts:.1f} s" if lasts else "where its times jump, as in a splice"
            problem = Unusable("decode", "gap", f"no frames {told}")
        start = timeline.end_seconds(number)
        rejects.append(record.reject(problem, start, start + lasts))
    return rejects


def _cut(
    source: SourceRecord,
    timeline: Timeline,
    tiny: TinyFrames,
    size: tuple[int, int],
    bars: float,
    frames: Path,
    places: list[Place],
    config: IngestConfig,
) -> tuple[list[tuple[Clip, tuple[Place, ...]]], list[Reject]]:
    """Kept clips and dropped spans of one decoded source."""
    fps, numbers = timeline.fps, timeline.numbers
    measures = tiny.measures(lag=max(1, round(source.fps / 2)))
    opens = shot_changes(measures, tiny, config.shot_levels)
    clips: list[tuple[Clip, tuple[Place, ...]]] = []
    rejects: list[Reject] = []
    shots = shot_spans(np.unique(numbers[opens]), len(places))
    clean = [span for shot in shots for span in clean_spans(shot, timeline.damage)]
    clean = [part for span in clean for part in parted(span, [number for number, _, _ in timeline.pauses])]
    for span in clean:
        for first, end in split_span(span, config.max_frames):
            span_s = timeline.seconds(first), timeline.end_seconds(end)
            taken = tuple(places[first:end])
            rows = measures[timeline.decoded(first, end)]
            judged = judge(
                frames,
                taken,
                size,
                span_s,
                rows,
                tiny.shown_at(timeline.times),
                bars,
                config.clip_limits,
                keep_all=config.score_only,
            )
            if judged.reason:
                problem = Unusable("quality", judged.reason, f"{end - first} frames, {judged.detail}")
                rejects.append(source.reject(problem, *span_s))
                continue
            seeds = look_at(frames, taken, size, fps, config.seed_seconds, config.seed_score, config.seed_finder)
            boxes: tuple[Box | None, ...] | None = None
            if config.pseudo_tracks:
                # The whole source's seconds, as what is left of it has to be judged by this stage's deadline.
                with stage("follow", source.seconds):
                    followed = pseudo_track(frames, taken, seeds, fps, config.pseudo_agree)
                seeds, boxes = followed or (seeds, None)
            clip = Clip(
                clip_id=clip_key(source.source_id, first, end, config.digest),
                source_id=source.source_id,
                start_s=round(span_s[0], 6),
                end_s=round(span_s[1], 6),
                fps=round(fps, 6),
                frames=end - first,
                width=size[0],
                height=size[1],
                scores=judged.scores,
                seed_boxes=seeds,
                config=config.digest,
                verdicts=judged.against,
                phash=judged.phash,
                boxes=boxes,
                # Frames without a box are not known to lack the target.
                visible=None if boxes is None else (True,) * (end - first),
            )
            clips.append((clip, taken))
    return clips, rejects


def shot_changes(measures: NDArray[np.float32], tiny: TinyFrames, levels: ShotLevels) -> NDArray[np.int64]:
    """Decoded frames at which a shot may not go on, ascending: cuts, both ends of dissolves and fades, and where the
    picture goes dark or comes back."""
    mean, spread, change = measures[:, :3].T
    dark = (mean < levels.black_level) & (spread < 2 * levels.flat_level)
    ends = [edge for first, last in tiny.blends(levels.cut_level) for edge in (first, last + 1)]
    blends = np.array(ends, np.int64).clip(0, len(measures) - 1)
    cuts = find_cuts(change, levels.cut_level, levels.cut_ratio)
    if levels.confirm_cuts:
        cuts = confirmed(cuts, change, tiny, levels.cut_level)
    return np.unique(np.concatenate([cuts, find_fades(dark), blends]))


def _describe(record: SourceRecord, video: Probe) -> SourceRecord:
    return replace(
        record,
        container=video.container,
        codec=video.codec,
        width=video.width,
        height=video.height,
        fps=round(float(video.fps), 6),
        seconds=round(video.seconds, 6),
        frames_expected=video.packets,
        treated=video.treated,
    )
