"""Benchmark `folder`: your own labelled sequences, one folder each."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.metrics.success import GOT10K_LIKE
from sstrack.benchmarks.registry import Benchmark, register
from sstrack.benchmarks.sequence import Sequence

TRUTH = "groundtruth.txt"
IMAGES = (".jpg", ".jpeg", ".png")


def read_folder(root: Path) -> list[Sequence]:
    """Sequences under `root`, sorted by name. ValueError names the folder or the line that is wrong."""
    if not root.is_dir():
        raise ValueError(f"no folder {root}: a benchmark root holds one folder per sequence")
    found = [_read_sequence(path.parent) for path in sorted(root.glob(f"*/{TRUTH}"))]
    if not found:
        raise ValueError(f"no sequence under {root}: expected <sequence>/{TRUTH} beside the sequence's images")
    return found


def _read_sequence(folder: Path) -> Sequence:
    boxes = _read_boxes(folder / TRUTH)
    frames = _images(folder) or _images(folder / "img")
    if len(frames) != len(boxes):
        raise ValueError(
            f"{folder / TRUTH} has {len(boxes)} boxes for {len(frames)} images; one line per image is needed"
        )
    known = ~np.isnan(boxes).any(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    return Sequence(folder.name, frames, np.where(known[:, None], boxes, np.nan), known)


def _images(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES))


def _read_boxes(path: Path) -> NDArray[np.float64]:
    rows: list[list[float]] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = [float(word) for word in re.split(r"[,\s]+", line.strip())]
        except ValueError:
            row = []
        if len(row) != 4:
            raise ValueError(f"{path} line {number}: expected x,y,w,h, got {line!r}")
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


FOLDER = register(
    Benchmark(
        name="folder",
        version="1",
        describe="your own labelled sequences",
        layout=f"ROOT/<sequence>/{{*.jpg|*.png or img/*.jpg}} and ROOT/<sequence>/{TRUTH} "
        "(x,y,w,h per image, 0-based; comma, tab or space; nan,nan,nan,nan where there is no truth)",
        read=read_folder,
        rules=(GOT10K_LIKE,),
    )
)
