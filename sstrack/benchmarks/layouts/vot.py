"""VOT short-term sets: polygons with per-frame tags (2016 to 2019), masks with anchors (2020), or `VOT2018.json`."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sstrack.benchmarks.layouts.files import image_size, images, leading, read_bytes
from sstrack.benchmarks.layouts.otb import load_json
from sstrack.benchmarks.names import safe_name
from sstrack.benchmarks.regions import Regions, parse_regions, polygon_regions
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.vot import anchor_rules, reset_rules
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.splits import split_names
from sstrack.benchmarks.text import number_line

TAGS = ("camera_motion", "illum_change", "motion_change", "occlusion", "size_change")


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
    return partial(_frames, folder) if _images(folder) else None


def _images(folder: Path) -> tuple[Path, ...]:
    pattern = _info(folder).get("channels.color", "")
    place = folder / Path(pattern).parent if pattern and ".." not in Path(pattern).parts else folder / "color"
    return images(place) or images(folder / "color") or images(folder)


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    return leading(_images(folder), len(truth), folder)


def _truth(folder: Path, anchored: bool) -> Truth:
    path = folder / "groundtruth.txt"
    regions = parse_regions(read_bytes(path), str(path))
    if not len(regions):
        raise ValueError(f"{path} is empty: expected one region per frame")
    anchors = None
    if anchored:
        where = folder / "anchor.value"
        values = number_line(read_bytes(where), str(where))
        if len(values) != len(regions):
            raise ValueError(f"{where} has {len(values)} values for {len(regions)} frames")
        anchors = np.sign(values).astype(np.int64)
    return Truth(
        folder.name, regions.boxes, size=_size(folder), regions=regions, anchors=anchors, tags=_tags(folder, regions)
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


def _size(folder: Path) -> tuple[int, int]:
    info = _info(folder)
    if info.get("width", "").isdigit() and info.get("height", "").isdigit():
        return int(info["width"]), int(info["height"])
    frames = _images(folder)
    if not frames:
        raise ValueError(
            f"{folder}: no image size; expected a file 'sequence' with width= and height=, or the frames in color/"
        )
    return image_size(frames[0])


def _json_truth(name: str, entry: Any, path: Path) -> Truth:
    try:
        regions = polygon_regions(np.array(entry["gt_rect"], dtype=np.float64))
        size = (int(entry["width"]), int(entry["height"]))
        tags = {tag: _padded(np.array(entry[tag], dtype=np.float64), len(regions)) for tag in TAGS if tag in entry}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {name} needs gt_rect (polygons of 8 numbers), width and height") from error
    return Truth(name, regions.boxes, size=size, regions=regions, tags=tags)


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
            official=split_names("vot2018") if _name == "vot2018" else (),
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
