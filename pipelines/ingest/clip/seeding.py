"""Reads a clip's first frames back as small luma arrays, and asks the domain for seed boxes."""

from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipelines.ingest.pack import Place
from sstrack.clips.clip import SeedBox
from sstrack.clips.seeds import motion_seeds

_LONG_SIDE = 160
_MOST_FRAMES = 20


def look_at(
    frames: Path, places: tuple[Place, ...], size: tuple[int, int], fps: float, seconds: float, least: float
) -> tuple[SeedBox, ...]:
    """Ranked seed boxes (stored-frame pixels) on the clip's first frame with a score of at least `least`. `places`
    locate the clip's JPEGs in the file `frames`."""
    count = min(len(places), max(2, round(seconds * fps)))
    chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_FRAMES)).round().astype(int))
    scale = _LONG_SIDE / max(size)
    small = (max(8, round(size[0] * scale)), max(8, round(size[1] * scale)))
    with frames.open("rb") as file:
        luma = np.stack([_small_luma(file, places[index], small) for index in chosen])
    to_stored = (size[0] / small[0], size[1] / small[1])
    return tuple(
        SeedBox(
            (
                round(seed.box[0] * to_stored[0], 3),
                round(seed.box[1] * to_stored[1], 3),
                round(seed.box[2] * to_stored[0], 3),
                round(seed.box[3] * to_stored[1], 3),
            ),
            round(seed.score, 4),
            seed.source,
        )
        for seed in motion_seeds(luma)
        if seed.score >= least
    )


def _small_luma(file, place: Place, small: tuple[int, int]) -> NDArray[np.uint8]:
    offset, size = place
    file.seek(offset)
    gray = simplejpeg.decode_jpeg(file.read(size), "GRAY", min_width=small[0], min_height=small[1])[:, :, 0]
    return np.asarray(cv2.resize(gray, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
