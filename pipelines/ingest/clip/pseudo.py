"""Labels that nobody made: a seed box followed through the clip and back by the model that ships, as far as both ways
agree. They may be wrong, so they go by a name of their own, `pseudo`."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from pipelines.ingest.pack import Place
from sstrack.clips.clip import PSEUDO, Box, SeedBox

if TYPE_CHECKING:
    from sstrack.tracking.tracker import Tracker

_RATE = 3.0
"""Frames a second that are looked at; those between have no box."""
_MOST_FRAMES = 30
_SEEDS = 2
"""Seeds that are followed, best first, until one of them closes."""


def pseudo_track(
    frames: Path, places: tuple[Place, ...], seeds: tuple[SeedBox, ...], fps: float, agree: float
) -> tuple[tuple[SeedBox, ...], tuple[Box | None, ...]] | None:
    """The seeds with the one that could be followed first, and its box on each frame, None where it is not known; or
    None where no seed closes.

    Args:
        frames, places: the file that holds the clip's JPEGs, and where they lie in it.
        seeds: boxes on the first frame, best first.
        fps: frames a second of the clip.
        agree: overlap (IoU, 0..1) of the ways there and back that every frame needs.
    """
    from sstrack.tracking.cycle import closed_track

    numbers = list(range(0, len(places), max(1, round(fps / _RATE))))[:_MOST_FRAMES]
    if not seeds or len(numbers) < 2:
        return None
    with frames.open("rb") as file:

        def read(number: int) -> bytes:
            offset, size = places[number]
            file.seek(offset)
            return file.read(size)

        pictures = [np.asarray(simplejpeg.decode_jpeg(read(number), "RGB"), np.uint8) for number in numbers]
    for place, seed in enumerate(seeds[:_SEEDS]):
        found = closed_track(_tracker(), pictures, seed.box, agree)
        if len(found):
            boxes: list[Box | None] = [None] * len(places)
            for number, (x, y, w, h) in zip(numbers, found.tolist(), strict=False):
                boxes[number] = (round(x, 3), round(y, 3), round(w, 3), round(h, 3))
            followed = SeedBox(boxes[0] or seed.box, seed.score, PSEUDO)
            return (followed, *seeds[:place], *seeds[place + 1 :]), tuple(boxes)
    return None


@cache
def _tracker() -> "Tracker":
    """The model that ships, once a process."""
    import torch

    from sstrack.models.package import load_package
    from sstrack.pretrained import package_folder
    from sstrack.tracking.tracker import Tracker

    torch.set_num_threads(1)  # workers share the cores as it is
    net, recipe = load_package(package_folder())
    return Tracker(net, recipe.tracking_as_trained)
