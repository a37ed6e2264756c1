"""A labelled sequence before its frames are read: which files, which box on each, what is wrong with its labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.reject import Unusable

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """T frames of one target.

    `frames`: image files, None where one is missing. `boxes`: [T, 4] xywh in pixels of the images, 0-based top-left,
    NaN where the target is absent or its box is unknown. `visible`: [T] whether it can be seen; False where unknown.
    `fps`: rate of the frames as the set states it. `others`: further boxes on the first frame, for seeds.
    `wrong`: what was found wrong with the labels, in words.
    """

    frames: tuple[Path | None, ...]
    boxes: Floats
    visible: NDArray[np.bool_]
    fps: float
    others: Floats
    wrong: tuple[str, ...] = ()
    still: bool = False
    """One picture, not a film."""
    size: tuple[int, int] | None = None
    """Width and height of the pictures as the labels' files state them."""


def labelled(
    frames: Sequence[Path | None],
    boxes: Floats,
    visible: NDArray[np.bool_],
    fps: float,
    wrong: list[str],
    others: Floats | None = None,
    still: bool = False,
    size: tuple[int, int] | None = None,
) -> Labelled:
    """Check and clean: a box that is not finite, has no area, or whose target is not visible becomes NaN; frames and
    labels beyond the shorter of both are left off, and said. Raises Unusable where no frame has a box."""
    count = min(len(frames), len(boxes))
    if len(frames) != len(boxes):
        wrong = [*wrong, f"{len(boxes)} labels for {len(frames)} frames; the first {count} of both are used"]
    boxes, visible = boxes[:count], visible[:count]
    seen: NDArray[np.bool_] = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1) & visible
    if not seen.any():
        raise Unusable("labels", "no_truth", "; ".join(["no frame has a box", *wrong]))
    return Labelled(
        frames=tuple(frames[:count]),
        boxes=np.where(seen[:, None], boxes, np.nan),
        visible=seen,
        fps=fps,
        others=np.empty((0, 4)) if others is None else others,
        wrong=tuple(wrong),
        still=still,
        size=size,
    )
