"""VOT short-term sets: polygons with per-frame tags (2016 to 2019), masks with anchors (2020), or `VOT2018.json`."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sstrack.benchmarks.headers import read_header
from sstrack.benchmarks.layouts.frames import images
from sstrack.benchmarks.layouts.layout import Layout, listed
from sstrack.benchmarks.layouts.otb import load_json
from sstrack.benchmarks.layouts.reading import STRICT, Labels, Reading, read_bytes
from sstrack.benchmarks.names import safe_name
from sstrack.benchmarks.regions import Regions, polygon_regions
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.vot import anchor_rules, reset_rules
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.splits import split_names
from sstrack.benchmarks.text import number_line

TAGS = ("camera_motion", "illum_change", "motion_change", "occlusion", "size_change")
NAMES_2018 = split_names("vot2018")
FPS = 30.0


def find_vot(root: Path, *, anchored: bool) -> list[Clip]:
    """Sequences named in `list.txt`, or all folders with a ground truth, under `root` or `root`/sequences.

    For polygons also a json of annotations, or a folder that holds `VOT2018.json`.
    """
    if not anchored and (root / "VOT2018.json").is_file():
        root = root / "VOT2018.json"
    if root.is_file() and not anchored:
        entries = load_json(root)
        return [Clip(name, partial(_json_truth, name, entry, root), None) for name, entry in sorted(entries.items())]
    for place in (root, root / "sequences"):
        listed = place / "list.txt"
        if listed.is_file():
            names = [safe_name(line, str(listed)) for line in read_bytes(listed).decode().split()]
        else:
            names = [path.parent.name for path in place.glob("*/groundtruth.txt")]
        if names:
            return [
                Clip(name, partial(_truth, place / name, anchored), _lister(place / name)) for name in sorted(names)
            ]
    raise ValueError(f"no VOT sequence under {root}: expected list.txt and <sequence>/groundtruth.txt")


def _lister(folder: Path) -> Any:
    return partial(_frames, folder) if images(_place(folder)) else None


def _place(folder: Path) -> Path:
    """Where the images are: as the file `sequence` says, in color/, or beside the ground truth (2013, 2014)."""
    pattern = Path(_info(folder).get("channels.color", ""))
    said = folder / pattern.parent if pattern.name and ".." not in pattern.parts and not pattern.is_absolute() else None
    places = (said or folder / "color", folder / "color", folder)
    return next((place for place in places if images(place)), places[0])


def read_labels(folder: Path, _: str, files: Reading) -> Labels:
    """Labels of a sequence; the boxes are the bounds of its regions."""
    boxes, regions = files.regions(folder / "groundtruth.txt")
    return Labels(boxes, 0.0, FPS, size=_stated_size(folder), regions=regions)


def read_frames(folder: Path, _: str, files: Reading, count: int) -> tuple[Path | None, ...]:
    """Images of a sequence in their order."""
    return files.frames(_place(folder), None, count)


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    return STRICT.frames(_place(folder), None, len(truth))


def _truth(folder: Path, anchored: bool) -> Truth:
    labels = read_labels(folder, "", STRICT)
    regions = labels.regions
    assert regions is not None  # a strict reading has read them all
    anchors = None
    if anchored:
        anchors = np.sign(STRICT.numbers(folder / "anchor.value", len(regions))).astype(np.int64)
    return Truth(
        folder.name,
        labels.boxes,
        size=labels.size or _size(folder),
        regions=regions,
        anchors=anchors,
        tags=_tags(folder, regions),
    )


def _tags(folder: Path, regions: Regions) -> dict[str, np.ndarray]:
    """Labels per frame; a file shorter than the clip means 0 from there on."""
    tags: dict[str, np.ndarray] = {}
    for name in TAGS:
        path = next((p for p in (folder / f"{name}.tag", folder / f"{name}.label") if p.is_file()), None)
        if path is not None:
            tags[name] = _padded(number_line(read_bytes(path), str(path)), len(regions))
    return tags


def _padded(values: np.ndarray, frames: int) -> np.ndarray:
    tag = np.zeros(frames, dtype=bool)
    tag[: len(values)] = values[:frames] > 0
    return tag


def _info(folder: Path) -> dict[str, str]:
    path = folder / "sequence"
    if not path.is_file():
        return {}
    lines = read_bytes(path).decode("utf-8", errors="replace").splitlines()
    return {key.strip(): value.strip() for key, sign, value in (line.partition("=") for line in lines) if sign}


def _stated_size(folder: Path) -> tuple[int, int] | None:
    width, height = (_info(folder).get(side, "") for side in ("width", "height"))
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None


def _size(folder: Path) -> tuple[int, int]:
    frames = images(_place(folder))
    if not frames:
        raise ValueError(
            f"{folder}: no image size; expected a file 'sequence' with width= and height=, or the frames in color/"
        )
    return read_header(frames[0]).upright


def _json_truth(name: str, entry: Any, path: Path) -> Truth:
    try:
        regions = polygon_regions(np.array(entry["gt_rect"], dtype=np.float64))
        size = (int(entry["width"]), int(entry["height"]))
        tags = {tag: _padded(np.array(entry[tag], dtype=np.float64), len(regions)) for tag in TAGS if tag in entry}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {name} needs gt_rect (polygons of 8 numbers), width and height") from error
    return Truth(name, regions.boxes, size=size, regions=regions, tags=tags)


def _finds(_: Path, names: frozenset[str]) -> bool:
    return {"groundtruth.txt", "color"} <= names


def _withheld(folder: Path, _: str) -> str:
    if folder.name in NAMES_2018:
        return listed("vot2018", folder.name)
    return "VOT has no training sets, and the lists of vot2016, vot2019 and vot2020 are not fixed here"


VOT_LAYOUT = Layout(
    name="vot",
    describe="<sequence>/ with color/00000001.jpg … and groundtruth.txt (boxes, polygons or masks, counted from 0)",
    finds=_finds,
    labels=read_labels,
    frames=read_frames,
    withheld=_withheld,
)

_INTERVALS = {"vot2016": (108, 371), "vot2018": (100, 356), "vot2019": (46, 291)}
"""Fragment lengths that EAO averages over, one pair per year."""

for _name, _interval in _INTERVALS.items():
    register(
        Benchmark(
            name=_name,
            version="1",
            describe=f"{_name.upper()} short-term, 60 sequences, a tracker starts again after each failure",
            layout="ROOT/list.txt, ROOT/<sequence>/color/00000001.jpg, groundtruth.txt (8 numbers per frame), "
            "<tag>.tag" + ("; or VOT2018.json" if _name == "vot2018" else ""),
            find=partial(find_vot, anchored=False),
            rules=reset_rules(*_interval),
            official=NAMES_2018 if _name == "vot2018" else (),
            expected=60,
            protocol="vot_reset",
            repetitions=15,
        )
    )
VOT2020 = register(
    Benchmark(
        name="vot2020",
        version="1",
        describe="VOT2020 short-term, 60 sequences, runs from anchors forward and backward, masks",
        layout="ROOT/list.txt, ROOT/<sequence>/color/00000001.jpg, groundtruth.txt (a mask or polygon per frame), "
        "anchor.value, sequence (width=, height=)",
        find=partial(find_vot, anchored=True),
        rules=anchor_rules(115, 755),
        expected=60,
        protocol="vot_anchor",
    )
)
