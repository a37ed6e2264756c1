"""OTB100 (OTB-2015, TB-100): 100 targets in 98 folders, or the `OTB2015.json` that goes around.

Jogging and Skating2 have two targets, Human4 only its second one. Some folders hold more images than ground truth, in
some the first annotated image is not number 1, and Tiger1's file has 354 rows of which the field uses the last 349.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sstrack.benchmarks.attributes import OTB_ATTRIBUTES, read_attributes
from sstrack.benchmarks.layouts.frames import first_folder
from sstrack.benchmarks.layouts.layout import Layout, Member, listed
from sstrack.benchmarks.layouts.reading import STRICT, Labels, Reading, read_bytes
from sstrack.benchmarks.layouts.uav import withheld_by_name
from sstrack.benchmarks.names import plain_name
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.ope import ope_rules
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.splits import split_names, split_rows

ORIGIN, FPS = 1.0, 30.0
ALIASES = {"Human4-2": ("Human4",), "Jogging-1": ("Jogging",), "Skating2-1": ("Skating2",)}
"""Names without a number that result files give the target the toolkits list first."""
_OTHER = {"Jogging-2": ("Jogging(2)",), "Skating2-2": ("Skating2(2)",)}
LEAD = {"Tiger1": 5}
"""Frames annotated before the window that is used."""
_TRUTH = re.compile(r"groundtruth_rect(?:\.(\d+))?\.txt")
_FRAMES = ("img", "jpg", "imgs")


@dataclass(frozen=True)
class _Window:
    """The frames that a target of the published set is annotated on, both ends included."""

    name: str
    first: int
    last: int

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


_WINDOWS = {
    (folder, number): _Window(name, int(first), int(last)) for name, folder, number, first, last in split_rows("otb100")
}
_FOLDERS = frozenset(folder for folder, _ in _WINDOWS)


def find_otb(root: Path) -> list[Clip]:
    """Targets found under `root`, or in a json of annotations."""
    if root.is_file():
        return _find_json(root)
    if not root.is_dir():
        raise ValueError(f"no folder or json {root}")
    if (root / "OTB2015.json").is_file():
        return _find_json(root / "OTB2015.json")
    clips = []
    for (folder, number), window in _WINDOWS.items():
        truth = f"groundtruth_rect.{number}.txt" if number != "0" else "groundtruth_rect.txt"
        place = root / folder
        if place.is_dir():
            clips.append(Clip(window.name, partial(_truth, place, truth), partial(_frames, place, truth)))
    if not clips:
        raise ValueError(f"no OTB100 sequence under {root}: expected <Sequence>/groundtruth_rect.txt, say Basketball/")
    return sorted(clips, key=lambda clip: clip.name)


def members(folder: Path) -> Iterator[Member]:
    """The files of labels in a folder, one per target."""
    truths = [path.name for path in sorted(folder.iterdir()) if _TRUTH.fullmatch(path.name)]
    for name in truths or [f"{folder.name}.txt"]:
        if (folder / name).stat().st_size > 0:  # Human4's first target has a file without a label
            yield folder, name


def read_labels(folder: Path, truth: str, files: Reading) -> Labels:
    """Labels of a target, of OTB100 or of any set that looks like it."""
    boxes = files.boxes(folder / truth, (4, 8))
    window = _window(folder, truth)
    if window is not None and len(boxes) == window.rows + LEAD.get(window.name, 0):
        boxes = boxes[LEAD.get(window.name, 0) :]
    return Labels(boxes, ORIGIN, FPS)


def read_frames(folder: Path, truth: str, files: Reading, count: int) -> tuple[Path | None, ...]:
    """Images of a target; several folders hold more behind the labelled part."""
    window = _window(folder, truth)
    images = first_folder(folder / name for name in _FRAMES) or folder
    return files.frames(images, window.first if window else None, count)[:count]


def _window(folder: Path, truth: str) -> _Window | None:
    found = _TRUTH.fullmatch(truth)
    return _WINDOWS.get((folder.name, (found[1] if found else None) or "0"))


def _truth(folder: Path, truth: str) -> Truth:
    boxes = read_labels(folder, truth, STRICT).boxes
    window = _window(folder, truth)
    assert window is not None  # find_otb names no other
    if len(boxes) != window.rows:
        raise ValueError(
            f"{folder / truth} has {len(boxes)} rows; {window.name} is annotated on frames {window.first} to "
            f"{window.last}: {window.rows} rows"
        )
    attributes = read_attributes(folder.parent / "anno" / "att", window.name, OTB_ATTRIBUTES)
    lead = LEAD.get(window.name, 0)
    return Truth(window.name, boxes, ORIGIN, attributes=attributes, aliases=_aliases(window.name), lead=lead)


def _aliases(name: str) -> tuple[str, ...]:
    return (*ALIASES.get(name, ()), *_OTHER.get(name, ()))


def _frames(folder: Path, truth_file: str, truth: Truth) -> tuple[Path, ...]:
    window = _window(folder, truth_file)
    images = first_folder(folder / name for name in _FRAMES) or folder / "img"
    return STRICT.frames(images, window.first if window else None, len(truth))


def _find_json(path: Path) -> list[Clip]:
    entries = load_json(path)
    known = {plain_name(name): name for name in split_names("otb100")}
    clips = []
    for key, entry in entries.items():
        name = known.get(plain_name(str(key)))
        if name is None:
            raise ValueError(f"{path}: {key!r} is no OTB100 target")
        clips.append(Clip(name, partial(_json_truth, name, entry, path), None))
    return sorted(clips, key=lambda clip: clip.name)


def _json_truth(name: str, entry: Any, path: Path) -> Truth:
    try:
        boxes = np.array(entry["gt_rect"], dtype=np.float64).reshape(-1, 4)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {name} needs 'gt_rect', a list of [x, y, w, h]") from error
    attributes = frozenset(str(label) for label in entry.get("attr", ()))
    return Truth(name, boxes, ORIGIN, attributes=attributes, aliases=_aliases(name), lead=LEAD.get(name, 0))


def load_json(path: Path) -> dict[str, Any]:
    """The object in a json file of annotations by sequence. ValueError if it is none."""
    try:
        entries = json.loads(read_bytes(path))
    except ValueError as error:
        raise ValueError(f"{path} is no readable json: {error}") from error
    if not isinstance(entries, dict) or not entries or not all(isinstance(entry, dict) for entry in entries.values()):
        raise ValueError(f"{path}: expected an object with one entry per sequence")
    return entries


def _finds(folder: Path, names: frozenset[str]) -> bool:
    if any(_TRUTH.fullmatch(name) for name in names):
        return True
    return f"{folder.name}.txt" in names and any(name in names for name in _FRAMES)


def _withheld(folder: Path, truth: str) -> str:
    if folder.name in _FOLDERS:
        return listed("otb100", folder.name)
    # <name>.txt beside img/ is also how targets of UAV123 are passed around
    return "" if _TRUTH.fullmatch(truth) else withheld_by_name(folder.name)


OTB_LAYOUT = Layout(
    name="otb",
    describe="<sequence>/ with img/0001.jpg … and groundtruth_rect.txt or <sequence>.txt, counted from 1",
    finds=_finds,
    labels=read_labels,
    frames=read_frames,
    withheld=_withheld,
    members=members,
)
OTB100 = register(
    Benchmark(
        name="otb100",
        version="1",
        describe="OTB-2015, 100 short targets",
        layout="ROOT/<Sequence>/img/0001.jpg and groundtruth_rect.txt (x,y,w,h, 1-based; comma, tab or space), "
        "groundtruth_rect.1.txt and .2.txt for two targets; or OTB2015.json",
        find=find_otb,
        rules=ope_rules("otb"),
        official=split_names("otb100"),
        expected=100,
    )
)
