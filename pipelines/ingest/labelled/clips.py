"""One labelled sequence to one pack: frames at our rate and size, boxes scaled along, a clip per clean span."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.labelled.pictures import Damaged, check_size, decode, picture_size, read_bytes, stored
from pipelines.ingest.labelled.sequence import Labelled
from pipelines.ingest.pack import Pack, Place, SourceRecord
from pipelines.ingest.reject import Reject, Unusable
from sstrack.clips.clip import Box, Clip, SeedBox, clip_key
from sstrack.clips.luma import LumaTrack
from sstrack.clips.quality import score_span, sharpness
from sstrack.clips.shots import split_span

_TINY = (48, 27)
_MOST_DAMAGE_ROWS = 20


@dataclass
class _Frame:
    """A stored frame: its number in the sequence, where its JPEG lies (None where it is damaged), why not."""

    number: int
    place: Place | None
    problem: str = ""


def digest_of_sequence(sequence: Labelled) -> str:
    """Hex sha256 of all that a sequence says: its pictures' bytes, boxes, visibility and rate, and no path."""
    digest = hashlib.sha256(f"{sequence.fps}:{sequence.still}:{len(sequence.frames)}".encode())
    for frame in sequence.frames:
        try:
            digest.update(b"-" if frame is None else hashlib.sha256(read_bytes(frame)).digest())
        except Damaged as damaged:
            digest.update(str(damaged).encode())
    for array in (sequence.boxes, sequence.visible, sequence.others):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def fill(sequence: Labelled, record: SourceRecord, config: IngestConfig, file: IO[bytes]) -> Pack:
    """Write the stored frames of a sequence to `file` and return the pack: its clips and what was left out."""
    record = replace(
        record,
        codec="pictures",
        fps=sequence.fps,
        seconds=round(len(sequence.frames) / sequence.fps, 6),
        frames_expected=len(sequence.frames),
    )
    rejects = [Reject(record.source_id, record.source_uri, "labels", "bad_label", wrong[:500], record.config)
               for wrong in sequence.wrong]  # fmt: skip
    try:
        size = _first_size(sequence)
        check_size(size, config.max_pixels, config.min_side)
    except Unusable as problem:
        rejects.append(_reject(record, problem))
        return Pack(record, (), tuple(rejects))
    record = replace(record, width=size[0], height=size[1])
    step = max(1, round(sequence.fps / config.fps))
    target = _stored_size(size, config.long_side)
    frames, small = _store(sequence, size, target, step, config.quality, file)
    clips, dropped = _clips(sequence, record, frames, small, (size, target), sequence.fps / step, config)
    lost = sum(frame.place is None for frame in frames)
    record = replace(record, frames_decoded=record.frames_expected - lost * step, error_lines=lost, clips=len(clips))
    return Pack(record, tuple(clips), (*rejects, *dropped))


def _first_size(sequence: Labelled) -> tuple[int, int]:
    """Width and height of the first picture whose header can be read."""
    problem = "every frame is missing"
    for frame in sequence.frames:
        if frame is not None:
            try:
                return picture_size(read_bytes(frame))
            except Damaged as damaged:
                problem = f"{frame.name}: {damaged}"
    raise Unusable("labels", "bad_frame", f"no frame can be read; {problem}")


def _stored_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    scale = min(1.0, long_side / max(size))
    return max(2, int(size[0] * scale) // 2 * 2), max(2, int(size[1] * scale) // 2 * 2)


def _store(
    sequence: Labelled, size: tuple[int, int], target: tuple[int, int], step: int, quality: int, file: IO[bytes]
) -> tuple[list[_Frame], NDArray[np.uint8]]:
    """Stored frames, every `step`-th of the sequence, and their tiny luma frames [N, 27, 48] (zeros where damaged)."""
    frames: list[_Frame] = []
    numbers = range(0, len(sequence.frames), step)
    small = np.zeros((len(numbers), _TINY[1], _TINY[0]), np.uint8)
    for row, number in enumerate(numbers):
        path = sequence.frames[number]
        try:
            if path is None:
                raise Damaged("it is missing")
            data = read_bytes(path)
            if picture_size(data) != size:
                raise Damaged(f"its size differs from {size[0]}x{size[1]}")
            jpeg, rgb = stored(decode(data, size), target, quality)
        except Damaged as damaged:
            frames.append(_Frame(number, None, str(damaged)))
            continue
        frames.append(_Frame(number, (file.tell(), len(jpeg))))
        file.write(jpeg)
        small[row] = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), _TINY, interpolation=cv2.INTER_AREA)
    return frames, small


def _clips(
    sequence: Labelled,
    record: SourceRecord,
    frames: Sequence[_Frame],
    small: NDArray[np.uint8],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    fps: float,
    config: IngestConfig,
) -> tuple[list[tuple[Clip, tuple[Place, ...]]], list[Reject]]:
    (width, height), target = sizes
    scale = np.array((target[0] / width, target[1] / height) * 2)
    numbers = [frame.number for frame in frames]
    boxes = _inside(sequence.boxes[numbers] * scale, target)
    clips: list[tuple[Clip, tuple[Place, ...]]] = []
    rejects: list[Reject] = []
    for first, end in _damaged_spans(frames):
        problem = Unusable("labels", "bad_frame", f"{end - first} frames; {frames[first].problem}")
        if len(rejects) < _MOST_DAMAGE_ROWS:
            rejects.append(_reject(record, problem, first / fps, end / fps))
    least = 1 if sequence.still else config.min_frames
    for whole in _clean_spans(frames):
        for first, end in split_span(whole, config.max_frames):
            known = np.flatnonzero(np.isfinite(boxes[first:end, 0]))
            begin = first + int(known[0]) if len(known) else end
            if end - begin < least:
                reason = "too_short" if len(known) else "no_truth"
                problem = Unusable("labels", reason, f"{end - begin} frames from the first box on, {least} are needed")
                rejects.append(_reject(record, problem, first / fps, end / fps))
                continue
            span = range(begin, end) if not sequence.still else range(begin, begin + 1)
            places = tuple(place for number in span if (place := frames[number].place) is not None)
            rows = boxes[span.start : span.stop]
            if sequence.still:  # a training sample needs a later frame: the same picture again
                places, rows = places * 2, np.repeat(rows, 2, axis=0)
            others = _inside(sequence.others * scale, target) if begin == 0 else np.empty((0, 4))
            clip = Clip(
                clip_id=clip_key(record.source_id, begin, begin + len(places), config.digest),
                source_id=record.source_id,
                start_s=round(begin / fps, 6),
                end_s=round((begin + len(places)) / fps, 6),
                fps=round(fps, 6),
                frames=len(places),
                width=target[0],
                height=target[1],
                scores=_scores(small[span.start : span.stop], fps),
                seed_boxes=tuple(SeedBox(box, 1.0, "ground_truth") for box in _boxes([rows[0], *others]) if box),
                config=config.digest,
                boxes=_boxes(rows),
                visible=tuple(bool(np.isfinite(row[0])) for row in rows),
            )
            clips.append((clip, places))
    return clips, rejects


def _inside(boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes that share at least a pixel with the picture; the others become NaN. Boxes may reach over its edges."""
    x, y, w, h = boxes.T
    meets = (x < size[0] - 1) & (y < size[1] - 1) & (x + w > 1) & (y + h > 1)
    return np.where(meets[:, None], boxes, np.nan)


def _boxes(rows) -> tuple[Box | None, ...]:
    return tuple(
        (round(float(x), 3), round(float(y), 3), round(float(w), 3), round(float(h), 3)) if np.isfinite(x) else None
        for x, y, w, h in rows
    )


def _scores(small: NDArray[np.uint8], fps: float) -> dict[str, float]:
    track = LumaTrack(lag=max(1, round(fps / 2)))
    track.add(small)
    sharp = float(np.median([sharpness(frame) for frame in small]))
    return {name: round(value, 4) for name, value in {**score_span(track.measures()), "sharpness": sharp}.items()}


def _clean_spans(frames: Sequence[_Frame]) -> list[tuple[int, int]]:
    return _spans([frame.place is not None for frame in frames])


def _damaged_spans(frames: Sequence[_Frame]) -> list[tuple[int, int]]:
    return _spans([frame.place is None for frame in frames])


def _spans(mask: list[bool]) -> list[tuple[int, int]]:
    """Half-open spans of True."""
    edges = np.flatnonzero(np.diff(np.array([False, *mask, False]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


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
        None if start_s is None else round(start_s, 6),
        None if end_s is None else round(end_s, 6),
    )
