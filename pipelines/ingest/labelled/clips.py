"""One labelled sequence to one pack: frames at our rate and size, boxes scaled along, a clip per clean span."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.footage.timeline import uncovered
from pipelines.ingest.clip.judge import judge
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.labelled.images import Damaged, check_size, decode, header, read_bytes, stored
from pipelines.ingest.labelled.sequence import Labelled
from pipelines.ingest.pack import Pack, Place, SourceRecord
from pipelines.ingest.reject import Reject, Unusable
from sstrack.benchmarks.headers import Header
from sstrack.benchmarks.sizes import contradiction
from sstrack.clips.clip import Box, Clip, SeedBox, clip_key
from sstrack.clips.luma import LumaTrack
from sstrack.clips.shots import split_span

_TINY = (48, 27)
_MOST_DAMAGE_ROWS = 20


@dataclass
class _Frame:
    """A stored frame: its number in the sequence, where its JPEG lies (None where it is damaged), why not."""

    number: int
    place: Place | None
    problem: str = ""


@dataclass
class _Film:
    """Stored frames in the file `path`, their tiny luma frames [N, 27, 48] (zeros where damaged), and their rate."""

    frames: list[_Frame]
    tiny: NDArray[np.uint8]
    fps: float
    path: Path

    def tiny_at(self, times: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The tiny frames nearest to times in seconds."""
        return self.tiny[np.clip(np.rint(times * self.fps).astype(int), 0, len(self.tiny) - 1)]


def digest_of_sequence(sequence: Labelled) -> str:
    """Hex sha256 of all that a sequence says: its pictures' bytes, boxes, visibility and rate, and no path.

    Pictures that are turned count with their orientation, as they were once stored as they lie in their files.
    """
    digest = hashlib.sha256(f"{sequence.fps}:{sequence.still}:{len(sequence.frames)}".encode())
    for frame in sequence.frames:
        try:
            data = b"" if frame is None else read_bytes(frame)
            digest.update(hashlib.sha256(data).digest() if data else b"-")
            digest.update(_turn(data))
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
        first = _first_header(sequence)
        size = first.upright
        check_size(size, config.max_pixels, config.min_side)
        if wrong := contradiction(first, sequence.boxes, sequence.size):
            raise Unusable("labels", "wrong_size", wrong)
    except Unusable as problem:
        rejects.append(record.reject(problem))
        return Pack(record, (), tuple(rejects))
    record = replace(record, width=size[0], height=size[1])
    step = max(1, round(sequence.fps / config.fps))
    target = _stored_size(size, config.long_side)
    film = _store(sequence, size, target, step, config.quality, file)
    clips, dropped = _clips(sequence, record, film, (size, target), config)
    lost = sum(frame.place is None for frame in film.frames)
    spans = [(clip.start_s, clip.end_s) for clip, _ in clips]
    spans += [(row.start_s, row.end_s) for row in dropped if row.start_s is not None and row.end_s is not None]
    without = Unusable("labels", "no_truth", "frames before a clip's first box")
    dropped += [record.reject(without, *hole) for hole in uncovered(spans, record.seconds, 1 / film.fps)]
    record = replace(record, frames_decoded=record.frames_expected - lost * step, error_lines=lost, clips=len(clips))
    return Pack(record, tuple(clips), (*rejects, *dropped))


def _turn(data: bytes) -> bytes:
    """The orientation of a picture where it is turned, nothing for the others and for what is no picture."""
    try:
        orientation = header(data).orientation
    except Damaged:
        return b""
    return b"" if orientation == 1 else f"orientation {orientation}".encode()


def _first_header(sequence: Labelled) -> Header:
    """The first header that can be read."""
    problem = "every frame is missing"
    for frame in sequence.frames:
        if frame is not None:
            try:
                return header(read_bytes(frame))
            except Damaged as damaged:
                problem = f"{frame.name}: {damaged}"
    raise Unusable("labels", "bad_frame", f"no frame can be read; {problem}")


def _stored_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    scale = min(1.0, long_side / max(size))
    return max(2, int(size[0] * scale) // 2 * 2), max(2, int(size[1] * scale) // 2 * 2)


def _store(
    sequence: Labelled, size: tuple[int, int], target: tuple[int, int], step: int, quality: int, file: IO[bytes]
) -> _Film:
    """Write every `step`-th frame of the sequence."""
    frames: list[_Frame] = []
    numbers = range(0, len(sequence.frames), step)
    small = np.zeros((len(numbers), _TINY[1], _TINY[0]), np.uint8)
    for row, number in enumerate(numbers):
        path = sequence.frames[number]
        try:
            if path is None:
                raise Damaged("it is missing")
            data = read_bytes(path)
            if header(data).upright != size:
                raise Damaged(f"its size differs from {size[0]}x{size[1]}")
            jpeg, rgb = stored(decode(data, size), target, quality)
        except Damaged as damaged:
            frames.append(_Frame(number, None, str(damaged)))
            continue
        frames.append(_Frame(number, (file.tell(), len(jpeg))))
        file.write(jpeg)
        small[row] = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), _TINY, interpolation=cv2.INTER_AREA)
    file.flush()
    return _Film(frames, small, sequence.fps / step, Path(file.name))


def _clips(
    sequence: Labelled,
    record: SourceRecord,
    film: _Film,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    config: IngestConfig,
) -> tuple[list[tuple[Clip, tuple[Place, ...]]], list[Reject]]:
    """Clips of the spans without damage, each from its first box on, and what was left out."""
    (width, height), target = sizes
    scale = np.array((target[0] / width, target[1] / height) * 2)
    boxes = _inside(sequence.boxes[[frame.number for frame in film.frames]] * scale, target)
    others = _inside(sequence.others * scale, target)
    clips: list[tuple[Clip, tuple[Place, ...]]] = []
    rejects: list[Reject] = []
    for first, end in _spans([frame.place is None for frame in film.frames])[:_MOST_DAMAGE_ROWS]:
        problem = Unusable("labels", "bad_frame", f"{end - first} frames; {film.frames[first].problem}")
        rejects.append(record.reject(problem, first / film.fps, end / film.fps))
    least = 1 if sequence.still else config.min_frames
    for whole in _spans([frame.place is not None for frame in film.frames]):
        for first, end in split_span(whole, config.max_frames):
            known = np.flatnonzero(np.isfinite(boxes[first:end, 0]))
            begin = first + int(known[0]) if len(known) else end
            if end - begin < least:
                reason = "too_short" if len(known) else "no_truth"
                problem = Unusable("labels", reason, f"{end - begin} frames from the first box on, {least} are needed")
                rejects.append(record.reject(problem, first / film.fps, end / film.fps))
                continue
            further = others if begin == 0 else others[:0]
            # a training sample needs a later frame: of a still picture that is the same again
            shown = [begin, begin] if sequence.still else list(range(begin, end))
            clips.append(_clip(record, film, shown, boxes[shown], further, target, config))
    return clips, rejects


def _clip(
    record: SourceRecord,
    film: _Film,
    shown: list[int],
    boxes: NDArray[np.float64],
    others: NDArray[np.float64],
    size: tuple[int, int],
    config: IngestConfig,
) -> tuple[Clip, tuple[Place, ...]]:
    """One clip of the stored frames `shown`. Labels speak for it, so verdicts are kept and drop nothing."""
    places = tuple(place for number in shown if (place := film.frames[number].place) is not None)
    span_s = (shown[0] / film.fps, (shown[0] + len(shown)) / film.fps)
    track = LumaTrack(lag=max(1, round(film.fps / 2)))
    track.add(film.tiny[shown])
    limits, measures = config.clip_limits, track.measures()
    found = judge(film.path, places, size, span_s, measures, film.tiny_at, 0.0, limits, keep_all=True)
    clip = Clip(
        clip_id=clip_key(record.source_id, shown[0], shown[0] + len(shown), config.digest),
        source_id=record.source_id,
        start_s=round(span_s[0], 6),
        end_s=round(span_s[1], 6),
        fps=round(film.fps, 6),
        frames=len(places),
        width=size[0],
        height=size[1],
        scores=found.scores,
        seed_boxes=tuple(SeedBox(box, 1.0, "ground_truth") for box in _boxes([boxes[0], *others]) if box),
        config=config.digest,
        verdicts=found.against,
        phash=found.phash,
        boxes=_boxes(boxes),
        visible=tuple(bool(known) for known in np.isfinite(boxes[:, 0])),
    )
    return clip, places


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


def _spans(mask: list[bool]) -> list[tuple[int, int]]:
    """Half-open spans of True."""
    edges = np.flatnonzero(np.diff(np.array([False, *mask, False]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
