"""A picture of trackers at work: frames of some sequences with the truth and each tracker's boxes drawn in."""

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.evaluation.results import ResultStore
from pipelines.evaluation.targets import open_target
from pipelines.frames import read_image

Colour = tuple[int, int, int]
"""RGB, 0..255."""

TRUTH: Colour = (255, 255, 255)
FOUND: Colour = (40, 220, 120)
OTHER: Colour = (255, 160, 40)
_TILE_WIDTH = 240


@dataclass(frozen=True)
class Strip:
    """One row of the picture: frames, and boxes `[T, 4]` xywh in pixels by the colour they are drawn in, the last ones
    on top; NaN where there is none."""

    frames: Many[Path]
    boxes: Mapping[Colour, NDArray[np.float64]]


def result_strips(
    results: Mapping[Colour, str], benchmark: str, root: str, names: Many[str] = (), rows: int = 4
) -> list[Strip]:
    """Sequences of a benchmark with the truth and the boxes of raw result folders, by colour.

    Args:
        results: folders of raw results.
        names: the sequences to take; by default `rows` of them, evenly chosen.
    """
    sequences = open_target(benchmark, root).sequences
    even = np.unique(np.linspace(0, len(sequences) - 1, rows).round().astype(int))
    chosen = [each for each in sequences if each.name in names] if names else [sequences[index] for index in even]
    stores = {colour: ResultStore(folder) for colour, folder in results.items()}
    strips: list[Strip] = []
    for each in chosen:
        shift = (each.truth.origin, each.truth.origin, 0, 0)
        found = {colour: store.boxes(each.name) - shift for colour, store in stores.items()}
        strips.append(Strip(each.frames, {TRUTH: each.boxes, **found}))
    return strips


def write_strips(out: Path, strips: Many[Strip], frames: int = 5) -> None:
    """Write a PNG with one row of `frames` evenly spaced frames for each strip.

    Args:
        out: file to write, whole or not at all.
        strips: at least one; all rows are as wide as the first one, and keep their shape.
    """
    rows = []
    for strip in strips:
        numbers = np.linspace(0, len(strip.frames) - 1, frames).round().astype(int)
        rows.append(np.concatenate([_tile(strip, int(number)) for number in numbers], axis=1))
    _, png = cv2.imencode(".png", cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))
    storage.write_atomic(str(out), png.tobytes())


def _tile(strip: Strip, number: int) -> NDArray[np.uint8]:
    frame = read_image(strip.frames[number])
    scale = _TILE_WIDTH / frame.shape[1]
    tile = cv2.resize(frame, (_TILE_WIDTH, round(frame.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    for colour, boxes in strip.boxes.items():
        if np.isfinite(boxes[number]).all():
            x, y, w, h = boxes[number] * scale
            cv2.rectangle(tile, (round(x), round(y)), (round(x + w), round(y + h)), colour, 2, cv2.LINE_AA)
    cv2.putText(tile, str(number), (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, TRUTH, 1, cv2.LINE_AA)
    return np.asarray(tile, dtype=np.uint8)
