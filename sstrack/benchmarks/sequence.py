"""One labelled sequence: frame files and true boxes. Frames are named, never opened here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sequence:
    """Frames of one target in order, with its true box on each frame where one is known."""

    name: str
    frames: tuple[Path, ...]
    """Image files, T of them."""
    boxes: NDArray[np.float64]
    """[T, 4] true boxes, xywh in pixels, 0-based top-left; a row of NaN where there is no truth."""
    visible: NDArray[np.bool_]
    """[T] whether the target can be seen."""

    def __post_init__(self) -> None:
        count = len(self.frames)
        if self.boxes.shape != (count, 4) or self.visible.shape != (count,):
            raise ValueError(
                f"sequence {self.name!r} has {count} frames, but boxes of shape {self.boxes.shape} "
                f"and visibility of shape {self.visible.shape}"
            )
        if count == 0 or np.isnan(self.boxes[0]).any():
            raise ValueError(
                f"sequence {self.name!r} has no true box on its first frame, so no tracker can start on it"
            )

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def first_box(self) -> NDArray[np.float64]:
        """[4] the box that a tracker is started with."""
        return self.boxes[0]


def static_boxes(sequence: Sequence) -> NDArray[np.float64]:
    """[T, 4] the box that never moves: the first true box on every frame. The least any tracker has to beat."""
    return np.tile(sequence.first_box, (len(sequence), 1))
