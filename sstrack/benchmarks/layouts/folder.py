"""Benchmark `folder`: your own labelled sequences, one folder each."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.layouts.files import images, read_bytes
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.folder import FOLDER_RULES
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.text import number_table

TRUTH = "groundtruth.txt"


def find_folder(root: Path) -> list[Clip]:
    """Clips under `root`, sorted by name."""
    if not root.is_dir():
        raise ValueError(f"no folder {root}: a benchmark root holds one folder per sequence")
    found = [path.parent for path in sorted(root.glob(f"*/{TRUTH}"))]
    if not found:
        raise ValueError(f"no sequence under {root}: expected <sequence>/{TRUTH} beside the sequence's images")
    return [Clip(folder.name, partial(_truth, folder), partial(_frames, folder)) for folder in found]


def _truth(folder: Path) -> Truth:
    path = folder / TRUTH
    boxes = number_table(read_bytes(path), str(path), 4)
    if not len(boxes):
        raise ValueError(f"{path} is empty: expected x,y,w,h per image")
    known: NDArray[np.bool_] = np.all(np.isfinite(boxes), axis=1) & np.all(boxes[:, 2:] > 0, axis=1)
    return Truth(folder.name, np.where(known[:, None], boxes, np.nan))


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    found = images(folder) or images(folder / "img")
    if len(found) != len(truth):
        raise ValueError(
            f"{folder / TRUTH} has {len(truth)} boxes for {len(found)} images; one line per image is needed"
        )
    return found


FOLDER = register(
    Benchmark(
        name="folder",
        version="1",
        describe="your own labelled sequences",
        layout=f"ROOT/<sequence>/{{*.jpg|*.png or img/*.jpg}} and ROOT/<sequence>/{TRUTH} "
        "(x,y,w,h per image, 0-based; comma, tab or space; nan,nan,nan,nan where there is no truth)",
        find=find_folder,
        rules=FOLDER_RULES,
    )
)
