"""One labelled sequence: what scoring needs (`Truth`) and, with its frame files, what tracking needs (`Sequence`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.regions import Regions


@dataclass(frozen=True)
class Truth:
    """The annotation of T frames as the benchmark's files state it: nothing shifted, nothing repaired.

    Rules need the raw rows: a box at x = 0 or with NaN means different things to different toolkits.
    """

    name: str
    boxes: NDArray[np.float64]
    """[T, 4] xywh in the benchmark's own coordinates, zeros and NaN kept. Of `regions`: their bounding boxes."""
    origin: float = 0.0
    """Coordinate of the first pixel in the benchmark's files: 1 for 1-based ones. Results use the same."""
    absent: NDArray[np.bool_] | None = None
    """[T] the target is out of view or fully hidden by the benchmark's own flags; None where it has none."""
    size: tuple[int, int] | None = None
    """Image width and height, where a rule needs them."""
    regions: Regions | None = None
    """Polygons or masks per frame (VOT)."""
    anchors: NDArray[np.int64] | None = None
    """[T] above 0: a run starts here and goes on; below 0: it starts here and goes back (VOT2020)."""
    tags: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict[str, NDArray[np.bool_]])
    """Per-frame labels, [T] each."""
    attributes: frozenset[str] = frozenset()
    """Labels of the sequence as a whole."""
    aliases: tuple[str, ...] = ()
    """Other names under which published result files keep this sequence."""
    lead: int = 0
    """Frames of the clip before the first annotated one that some result files also cover."""
    notes: tuple[str, ...] = ()
    """What had to be assumed in reading it; reported with every score."""

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or count == 0:
            raise ValueError(f"sequence {self.name!r}: expected [T, 4] boxes, got shape {self.boxes.shape}")
        for what, values in (("absence flags", self.absent), ("anchors", self.anchors), ("regions", self.regions)):
            if values is not None and len(values) != count:
                raise ValueError(f"sequence {self.name!r} has {count} boxes, but {len(values)} {what}")

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def known(self) -> NDArray[np.bool_]:
        """[T] there is a box of positive, finite size."""
        return np.all(np.isfinite(self.boxes), axis=1) & np.all(self.boxes[:, 2:] > 0, axis=1)


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
    truth: Truth
    """The annotation as the benchmark states it."""

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

    @classmethod
    def of(cls, truth: Truth, frames: tuple[Path, ...]) -> "Sequence":
        """`truth` with its T frames, boxes shifted to 0-based. A test clip with one box has NaN from then on."""
        boxes = np.full((len(frames), 4), np.nan)
        visible = np.zeros(len(frames), dtype=bool)
        if len(truth) not in (1, len(frames)):
            raise ValueError(
                f"sequence {truth.name!r} has {len(truth)} boxes for {len(frames)} images; one line per image is needed"
            )
        known = truth.known
        boxes[: len(truth)][known] = truth.boxes[known] - (truth.origin, truth.origin, 0, 0)
        visible[: len(truth)] = known if truth.absent is None else known & ~truth.absent
        return cls(truth.name, frames, boxes, visible, truth)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def first_box(self) -> NDArray[np.float64]:
        """[4] the box that a tracker is started with."""
        return self.boxes[0]


def static_boxes(sequence: Sequence) -> NDArray[np.float64]:
    """[T, 4] the box that never moves: the first true box on every frame. The least any tracker has to beat."""
    return np.tile(sequence.first_box, (len(sequence), 1))
