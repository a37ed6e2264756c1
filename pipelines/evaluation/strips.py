"""A picture of a tracker at work: frames of some sequences with the truth and the tracker's boxes drawn in."""

from collections.abc import Mapping
from collections.abc import Sequence as Many
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.evaluation.results import ResultStore
from pipelines.evaluation.targets import open_target
from pipelines.frames import read_image
from sstrack.benchmarks.sequence import Sequence

TRUTH = (255, 255, 255)
FOUND = (40, 220, 120)
_TILE_WIDTH = 240


def draw_results(results: str, benchmark: str, root: str, out: Path, rows: int = 4) -> None:
    """Draw evenly chosen sequences of a benchmark with the boxes in a raw result folder."""
    store = ResultStore(results)
    sequences = open_target(benchmark, root).sequences
    chosen = [sequences[i] for i in np.unique(np.linspace(0, len(sequences) - 1, rows).round().astype(int))]
    origins = {sequence.name: (sequence.truth.origin, sequence.truth.origin, 0, 0) for sequence in chosen}
    write_strips(out, chosen, {name: store.boxes(name) - origin for name, origin in origins.items()})


def write_strips(
    out: Path, sequences: Many[Sequence], boxes: Mapping[str, NDArray[np.float64]], frames: int = 5
) -> None:
    """Write a PNG with one row of `frames` evenly spaced frames per sequence: truth in white, found box in green.

    Args:
        out: file to write, whole or not at all.
        sequences: rows of the picture, at least one; a row is as wide as the first one's, so similar sizes look best.
        boxes: predicted boxes `[T, 4]` xywh in pixels by sequence name.
    """
    rows = []
    for sequence in sequences:
        numbers = np.linspace(0, len(sequence) - 1, frames).round().astype(int)
        rows.append(np.concatenate([_tile(sequence, int(n), boxes[sequence.name][n]) for n in numbers], axis=1))
    height, width = rows[0].shape[:2]
    picture = np.concatenate([row if row.shape[1] == width else cv2.resize(row, (width, height)) for row in rows])
    _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    storage.write_atomic(str(out), png.tobytes())


def _tile(sequence: Sequence, number: int, found: NDArray[np.float64]) -> NDArray[np.uint8]:
    frame = read_image(sequence.frames[number])
    scale = _TILE_WIDTH / frame.shape[1]
    tile = cv2.resize(frame, (_TILE_WIDTH, round(frame.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    for box, colour in ((sequence.boxes[number], TRUTH), (found, FOUND)):
        if np.isfinite(box).all():
            x, y, w, h = box * scale
            cv2.rectangle(tile, (round(x), round(y)), (round(x + w), round(y + h)), colour, 2, cv2.LINE_AA)
    cv2.putText(tile, str(number), (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, TRUTH, 1, cv2.LINE_AA)
    return np.asarray(tile, dtype=np.uint8)
