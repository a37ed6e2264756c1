"""Benchmark `folder`: your own labelled sequences, one folder each."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.layouts.frames import hidden, images, is_frame
from sstrack.benchmarks.layouts.layout import Layout
from sstrack.benchmarks.layouts.reading import STRICT, Labels, Reading
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.folder import FOLDER_RULES
from sstrack.benchmarks.sequence import Truth

TRUTH = "groundtruth.txt"
FPS = 30.0
"""No file says at which rate the frames were taken."""


def find_folder(root: Path) -> list[Clip]:
    """Clips under `root`, sorted by name."""
    if not root.is_dir():
        raise ValueError(f"no folder {root}: a benchmark root holds one folder per sequence")
    found = [path.parent for path in sorted(root.glob(f"*/{TRUTH}")) if not hidden(path.parent.name)]
    if not found:
        raise ValueError(f"no sequence under {root}: expected <sequence>/{TRUTH} beside the sequence's images")
    return [Clip(folder.name, partial(_truth, folder), partial(_frames, folder)) for folder in found]


def read_labels(folder: Path, _: str, files: Reading) -> Labels:
    """Labels of a sequence, one line per image."""
    return Labels(files.boxes(folder / TRUTH), 0.0, FPS)


def read_frames(folder: Path, _: str, files: Reading, count: int) -> tuple[Path | None, ...]:
    """Images of a sequence in their order, whatever numbers they have, as long as each has a line."""
    found = images(_place(folder))
    return found if len(found) == count else files.frames(_place(folder), None, count)


def _place(folder: Path) -> Path:
    return folder if images(folder) else folder / "img"


def _truth(folder: Path) -> Truth:
    boxes = read_labels(folder, "", STRICT).boxes
    if not len(boxes):
        raise ValueError(f"{folder / TRUTH} is empty: expected x,y,w,h per image")
    known: NDArray[np.bool_] = np.all(np.isfinite(boxes), axis=1) & np.all(boxes[:, 2:] > 0, axis=1)
    return Truth(folder.name, np.where(known[:, None], boxes, np.nan))


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    found = images(_place(folder))
    if len(found) != len(truth):
        raise ValueError(
            f"{folder / TRUTH} has {len(truth)} boxes for {len(found)} images; one line per image is needed"
        )
    return found


def _finds(_: Path, names: frozenset[str]) -> bool:
    return TRUTH in names and ("img" in names or any(is_frame(name) for name in names))


def _withheld(folder: Path, _: str) -> str:
    """Your own, whatever it is called."""
    return ""


FOLDER_LAYOUT = Layout(
    name="folder",
    describe=f"<sequence>/ with images, or img/, and {TRUTH} (x,y,w,h per image, counted from 0)",
    finds=_finds,
    labels=read_labels,
    frames=read_frames,
    withheld=_withheld,
)
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
