"""One clip to one sample: which frames, which seed box, and the pixels on a canvas. Where bytes come from is not known
here, so both ways of reading give the same sample for the same draw."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.dataset.canvas import decode_onto
from pipelines.dataset.labels import frame_boxes
from pipelines.dataset.reader import DamagedFrame
from pipelines.dataset.samples import UnusableSample, choose_frames
from sstrack.clips.clip import Clip
from sstrack.configs.data import DataConfig

_SAME = 0.5
"""Pixels that a seed box may differ from the first box of its track."""


@dataclass(frozen=True)
class Drawn:
    """What a sample is besides its pixels; `boxes` float32 [1 + n_search, 4] xywh, NaN where there is no label."""

    clip_id: str
    size: tuple[int, int]
    seed: tuple[float, float, float, float]
    boxes: NDArray[np.float32]


@dataclass(frozen=True)
class Choice:
    """A drawn sample before its frames are read: frame numbers in time order, and the seed box on the first of them."""

    row: Mapping[str, Any]
    record: Clip | None
    numbers: list[int]
    seed: tuple[float, ...]


def needs_record(row: Mapping[str, Any], config: DataConfig) -> bool:
    """Whether the clips table alone does not say enough to draw a sample of this clip."""
    return bool(row["labelled"]) or config.seed_choice == "ranked"


def choose(row: Mapping[str, Any], record: Clip | None, config: DataConfig, rng: np.random.Generator) -> Choice:
    """Draw frames and seed box of a sample. Raises UnusableSample with the reason."""
    if record is not None and (record.frames != row["frames"] or record.clip_id != row["clip_id"]):
        raise DamagedFrame("its record is another clip's")
    visible = record.visible if record is not None and record.visible is not None else [True] * row["frames"]
    if len(visible) != row["frames"]:
        raise DamagedFrame("its record has another length")
    numbers = choose_frames(visible, config.n_search, config.max_gap, rng)
    return Choice(row, record, numbers, _seed_box(row, record, numbers[0], config, rng))


def paint(choice: Choice, frame: Callable[[int], bytes], canvas: NDArray[np.uint8]) -> Drawn:
    """Decode the frames of a choice into `canvas` [1 + n_search, H, W, 3].

    Raises DamagedFrame or UnusableSample where one of them cannot be shown.
    """
    row, numbers = choice.row, choice.numbers
    factor, size = 1.0, (0, 0)
    for place, number in enumerate(numbers):
        if place and number == numbers[place - 1]:
            canvas[place] = canvas[place - 1]
            continue
        width, height, factor = decode_onto(frame(number), canvas[place])
        if abs(width - row["width"] * factor) >= 1 or abs(height - row["height"] * factor) >= 1:
            raise DamagedFrame(f"frame {number} is not {row['width']}x{row['height']}")
        size = (width, height)
    boxes = np.full((len(numbers), 4), np.nan, np.float32)
    if choice.record is not None:
        known = frame_boxes(choice.record)[numbers]
        # A pseudo-track is that of one seed. A sample that starts from another one has no boxes.
        if choice.record.labelled or np.abs(known[0] - np.array(choice.seed, np.float32)).max() < _SAME:
            boxes = known * np.float32(factor)
    x, y, w, h = (float(value) * factor for value in choice.seed)
    return Drawn(row["clip_id"], size, (x, y, w, h), boxes)


def _seed_box(
    row: Mapping[str, Any], record: Clip | None, first: int, config: DataConfig, rng: np.random.Generator
) -> tuple[float, ...]:
    """The label where a labelled clip starts late, else one of the seed boxes on its first frame."""
    if first:
        box = record.boxes[first] if record is not None and record.boxes is not None else None
        if box is None:
            raise UnusableSample("no box on the first visible frame")
        return box
    if config.seed_choice == "ranked" and record is not None and record.seed_boxes:
        scores = np.array([max(seed.score, 1e-6) for seed in record.seed_boxes])
        return record.seed_boxes[int(rng.choice(len(scores), p=scores / scores.sum()))].box
    return tuple(row[f"seed_{name}"] for name in "xywh")
