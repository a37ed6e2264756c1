"""OTB100 (OTB-2015, TB-100): 100 targets in 98 folders, or the `OTB2015.json` that goes around.

Jogging and Skating2 have two targets, Human4 only its second one. Some folders hold more images than ground truth, in
some the first annotated image is not number 1, and Tiger1's file has 354 rows of which the field uses the last 349.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sstrack.benchmarks.attributes import OTB_ATTRIBUTES, read_attributes
from sstrack.benchmarks.layouts.files import first_folder, numbered, read_bytes
from sstrack.benchmarks.names import plain_name
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.ope import ope_rules
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.splits import split_names, split_rows
from sstrack.benchmarks.text import number_table

ORIGIN = 1.0
ALIASES = {"Human4-2": ("Human4",), "Jogging-1": ("Jogging",), "Skating2-1": ("Skating2",)}
"""Names without a number that result files give the target the toolkits list first."""
_OTHER = {"Jogging-2": ("Jogging(2)",), "Skating2-2": ("Skating2(2)",)}
LEAD = {"Tiger1": 5}
"""Frames annotated before the window that is used."""


def find_otb(root: Path) -> list[Clip]:
    """Targets found under `root`, or in a json of annotations."""
    if root.is_file():
        return _find_json(root)
    if not root.is_dir():
        raise ValueError(f"no folder or json {root}")
    if (root / "OTB2015.json").is_file():
        return _find_json(root / "OTB2015.json")
    clips = []
    for name, folder, number, first, _last in split_rows("otb100"):
        path = root / folder / (f"groundtruth_rect.{number}.txt" if number != "0" else "groundtruth_rect.txt")
        if (root / folder).is_dir():
            read = partial(_truth, name, path, root)
            clips.append(Clip(name, read, partial(_frames, root / folder, int(first))))
    if not clips:
        raise ValueError(f"no OTB100 sequence under {root}: expected <Sequence>/groundtruth_rect.txt, say Basketball/")
    return sorted(clips, key=lambda clip: clip.name)


def _truth(name: str, path: Path, root: Path) -> Truth:
    boxes = number_table(read_bytes(path), str(path), 4)
    first, last = next((int(row[3]), int(row[4])) for row in split_rows("otb100") if row[0] == name)
    wanted = last - first + 1
    if len(boxes) == wanted + LEAD.get(name, 0):
        boxes = boxes[LEAD.get(name, 0) :]
    if len(boxes) != wanted:
        raise ValueError(
            f"{path} has {len(boxes)} rows; {name} is annotated on frames {first} to {last}: {wanted} rows"
        )
    attributes = read_attributes(root / "anno" / "att", name, OTB_ATTRIBUTES)
    return Truth(name, boxes, ORIGIN, attributes=attributes, aliases=_aliases(name), lead=LEAD.get(name, 0))


def _aliases(name: str) -> tuple[str, ...]:
    return (*ALIASES.get(name, ()), *_OTHER.get(name, ()))


def _frames(folder: Path, first: int, truth: Truth) -> tuple[Path, ...]:
    images = first_folder((folder / "img", folder / "jpg", folder / "imgs")) or folder / "img"
    return numbered(images, first, len(truth))


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
