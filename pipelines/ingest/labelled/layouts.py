"""Layouts of labelled sets: how one is recognised, which sequences it holds, and how one of them is read."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.ingest.labelled.sequence import IMAGES, Labelled, flags_of, labelled, numbered, read_text, rows_of


@dataclass(frozen=True)
class Layout:
    """One family of sets. `finds` says whether a folder is a sequence (or holds a split's labels) by its names;
    `members` gives (file or folder, name inside it) per sequence; `read` reads one."""

    name: str
    describe: str
    finds: Callable[[Path, frozenset[str]], bool]
    members: Callable[[Path], Iterator[tuple[Path, str]]]
    read: Callable[[Path, str], Labelled]


def _itself(folder: Path) -> Iterator[tuple[Path, str]]:
    yield folder, ""


def _is_got10k(folder: Path, names: frozenset[str]) -> bool:
    labels = {"absence.label", "cover.label", "meta_info.ini", "cut_by_image.label"}
    return "groundtruth.txt" in names and (bool(labels & names) or folder.name.startswith("GOT-10k_"))


def _read_got10k(folder: Path, _: str) -> Labelled:
    wrong: list[str] = []
    boxes = rows_of(read_text(folder / "groundtruth.txt"), "groundtruth.txt", (4,), wrong)
    absent = flags_of(_optional(folder / "absence.label"), len(boxes), "absence.label", wrong) != 0
    cover = _optional(folder / "cover.label")
    hidden = flags_of(cover, len(boxes), "cover.label", wrong) == 0 if cover is not None else np.zeros(len(boxes), bool)
    return labelled(numbered(folder, 1), boxes, ~(absent | hidden), 10.0, wrong)


def _is_lasot(folder: Path, names: frozenset[str]) -> bool:
    return {"groundtruth.txt", "img"} <= names and bool({"full_occlusion.txt", "out_of_view.txt"} & names)


def _read_lasot(folder: Path, _: str) -> Labelled:
    wrong: list[str] = []
    boxes = rows_of(read_text(folder / "groundtruth.txt"), "groundtruth.txt", (4,), wrong)
    hidden = np.zeros(len(boxes), bool)
    for name in ("full_occlusion.txt", "out_of_view.txt"):
        hidden |= flags_of(_optional(folder / name), len(boxes), name, wrong) != 0
    return labelled(numbered(folder / "img", 1), _from_one(boxes), ~hidden, 30.0, wrong)


def _is_trackingnet(folder: Path, names: frozenset[str]) -> bool:
    return {"anno", "frames"} <= names


def _trackingnet_members(split: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted((split / "anno").glob("*.txt")):
        yield split, path.stem


def _read_trackingnet(split: Path, name: str) -> Labelled:
    wrong: list[str] = []
    boxes = rows_of(read_text(split / "anno" / f"{name}.txt"), f"{name}.txt", (4,), wrong)
    return labelled(numbered(split / "frames" / name, 0), boxes, np.ones(len(boxes), bool), 30.0, wrong)


_OTB_TRUTH = re.compile(r"groundtruth_rect(\.\d+)?\.txt")
_OTB_STARTS = {"David": 300, "BlurCar1": 247, "BlurCar3": 3, "BlurCar4": 18}
"""Number of the image that the first label belongs to, where it is not the first image."""
_OTB_FRAMES = ("img", "imgs", "jpg")


def _is_otb(folder: Path, names: frozenset[str]) -> bool:
    if any(_OTB_TRUTH.fullmatch(name) for name in names):
        return True
    return f"{folder.name}.txt" in names and bool(set(_OTB_FRAMES) & names)


def _otb_members(folder: Path) -> Iterator[tuple[Path, str]]:
    truths = [path.name for path in sorted(folder.iterdir()) if _OTB_TRUTH.fullmatch(path.name)]
    for name in truths or [f"{folder.name}.txt"]:
        if (folder / name).stat().st_size > 0:  # Human4's first target has a file without a label
            yield folder, name


def _read_otb(folder: Path, truth: str) -> Labelled:
    wrong: list[str] = []
    boxes = _from_one(rows_of(read_text(folder / truth), truth, (4, 8), wrong))
    images = next((folder / name for name in _OTB_FRAMES if (folder / name).is_dir()), folder)
    frames = numbered(images, _OTB_STARTS.get(folder.name))
    if folder.name == "Tiger1" and len(boxes) == len(frames) - 5:
        frames = frames[5:]  # a file of 349 labels starts at frame 6
    if len(boxes) < len(frames):
        frames = frames[: len(boxes)]  # several folders hold images behind the labelled part
    return labelled(frames, boxes, np.ones(len(boxes), bool), 30.0, wrong)


def _from_one(boxes: np.ndarray) -> np.ndarray:
    """Corners counted from 1 to corners counted from 0."""
    return boxes - (1, 1, 0, 0)


def _optional(path: Path) -> bytes | None:
    return read_text(path) if path.is_file() else None


GOT10K = Layout(
    "got10k",
    "[split/]GOT-10k_*/ with 00000001.jpg …, groundtruth.txt (x,y,w,h), absence.label, cover.label",
    _is_got10k,
    _itself,
    _read_got10k,
)
LASOT = Layout(
    "lasot",
    "[class/]<sequence>/ with img/00000001.jpg …, groundtruth.txt, full_occlusion.txt, out_of_view.txt",
    _is_lasot,
    _itself,
    _read_lasot,
)
TRACKINGNET = Layout(
    "trackingnet",
    "<split>/ with frames/<id>/0.jpg … and anno/<id>.txt",
    _is_trackingnet,
    _trackingnet_members,
    _read_trackingnet,
)
OTB = Layout(
    "otb",
    "<sequence>/ with img/0001.jpg … and groundtruth_rect.txt or <sequence>.txt, counted from 1",
    _is_otb,
    _otb_members,
    _read_otb,
)
_EVALUATION = {"got10k": "test", "trackingnet": "TEST"}
"""Splits that carry a box for the first frame only and that trackers are judged on."""


def is_evaluation(layout: str, folder: Path) -> bool:
    """Whether a sequence or split belongs to a test split: never to be trained on."""
    split = _EVALUATION.get(layout)
    return split is not None and (folder.name == split or folder.parent.name == split or "_Test_" in folder.name)


def images_in(folder: Path) -> bool:
    """Whether a folder holds an image."""
    return any(path.suffix.lower() in IMAGES for path in folder.iterdir())
