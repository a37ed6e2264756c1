"""What is thought of one clip: its scores, what speaks against it, and the hash by which its likes are found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipelines.ingest.pack import Place
from sstrack.clips.hashing import clip_hash
from sstrack.clips.quality import Limits, clip_scores, span_scores, verdicts
from sstrack.clips.stills import RATE

_LONG_SIDE = 320
_FRAMES = 8

TinyAt = Callable[[NDArray[np.float64]], NDArray[np.uint8]]
"""float64 [k] seconds of the source -> uint8 [k, 27, 48] tiny luma frames nearest to them."""


@dataclass(frozen=True)
class Judgement:
    """`against` holds all verdicts, the gravest first; `reason` is the one to drop the clip for, None to keep it."""

    scores: dict[str, float]
    against: tuple[str, ...]
    reason: str | None
    phash: str

    @property
    def detail(self) -> str:
        """The scores in words."""
        return ", ".join(f"{name} {value:.3g}" for name, value in self.scores.items())


def judge(
    frames: Path,
    places: Sequence[Place],
    size: tuple[int, int],
    span_s: tuple[float, float],
    measures: NDArray[np.float32],
    tiny_at: TinyAt,
    bars: float,
    limits: Limits,
    *,
    keep_all: bool,
) -> Judgement:
    """Judge one clip.

    Args:
        frames, places: the file that holds its JPEGs, and where they lie in it; `size` is their width and height.
        span_s: seconds of the source at which it starts and ends.
        measures: float32 [n, 5], its rows of `LumaTrack.measures`.
        tiny_at: gives tiny frames at times of the source.
        bars: share of the source's picture that was cropped.
        limits: what verdicts are drawn from.
        keep_all: record verdicts and drop the clip for none of them.
    """
    if len(places) < limits.min_frames and not keep_all:
        return Judgement(_rounded(span_scores(measures)), ("too_short",), "too_short", "")
    tiny = tiny_at(_every(span_s, 1 / RATE))
    scores = clip_scores(measures, tiny, _pictures(frames, places, size), bars)
    against = verdicts(scores, len(places), limits)
    reason = against[0] if against and not keep_all else None
    if len(places) < 2:
        reason = "too_short"  # what has no second frame is no clip
    phash = clip_hash(tiny).hex() if reason is None else ""
    return Judgement(_rounded(scores), against, reason, phash)


def _every(span_s: tuple[float, float], step: float) -> NDArray[np.float64]:
    """Times in the middle of equal steps of at least `step` seconds; one for a span that is shorter."""
    start, end = span_s
    count = max(1, int((end - start) / step))
    return start + (np.arange(count, dtype=np.float64) + 0.5) * step


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in scores.items()}


def _pictures(frames: Path, places: Sequence[Place], size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 [k, h, w]: luma of up to eight frames from all over the clip, long side at most 320 pixels."""
    chosen = np.unique(np.linspace(0, len(places) - 1, _FRAMES).round().astype(int))
    scale = min(1.0, _LONG_SIDE / max(size))
    small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    with frames.open("rb") as file:
        return np.stack([_luma(_read(file, places[index]), small) for index in chosen])


def _read(file: IO[bytes], place: Place) -> bytes:
    offset, size = place
    file.seek(offset)
    return file.read(size)


def _luma(jpeg: bytes, small: tuple[int, int]) -> NDArray[np.uint8]:
    gray = simplejpeg.decode_jpeg(jpeg, "GRAY", min_width=small[0], min_height=small[1], fastdct=True)[:, :, 0]
    return np.asarray(cv2.resize(gray, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
