"""COCO files: pictures with boxes, and films where the file has `videos` (one target per track)."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ijson
import numpy as np

from pipelines.errors import SSTrackError
from pipelines.ingest.labelled.sequence import Labelled, labelled
from pipelines.ingest.reject import Unusable

MOST_BYTES = 2 << 30
_PIECE = 1 << 16
_MOST_OTHERS = 4
_IMAGE_FOLDERS = ("", "images", "frames", "JPEGImages", "img")


@dataclass(frozen=True)
class Target:
    """A target of a COCO file: its frames' file names, one box per frame or None, further boxes on the first."""

    name: str
    files: tuple[str, ...]
    boxes: tuple[tuple[float, ...] | None, ...]
    others: tuple[tuple[float, ...], ...]
    still: bool
    fps: float
    size: tuple[int, int] | None = None
    """Width and height of its first image as the file states them."""


def is_coco(path: Path) -> bool:
    """Whether a JSON file begins like a COCO file of objects: it names images, annotations or videos early."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    keys = (b'"images"', b'"annotations"', b'"videos"', b'"info"', b'"categories"')
    return head.lstrip()[:1] == b"{" and sum(key in head for key in keys) >= 1 and _has(path, keys[:2])


def _has(path: Path, keys: tuple[bytes, ...]) -> bool:
    """Whether all keys occur in a file, read in pieces."""
    missing, tail = set(keys), b""
    with path.open("rb") as file:
        while missing and (piece := file.read(1 << 22)):
            missing = {key for key in missing if key not in tail + piece}
            tail = piece[-32:]
    return not missing


@dataclass(frozen=True)
class _Image:
    """What is kept of an image of the file."""

    file_name: str
    video: Any
    place: float
    """Its number in its film."""
    size: tuple[int, int] | None


_Boxes = dict[Any, list[tuple[Any, tuple[float, ...]]]]
"""Image -> (track, box) of each of its annotations that has a box."""


def targets(path: Path) -> Iterator[Target]:
    """All targets of a COCO file. It is read an item at a time, as its polygons take ten times the file's size in
    memory. Raises SSTrackError where it is none."""
    if path.stat().st_size > MOST_BYTES:
        raise SSTrackError(f"{path} is above {MOST_BYTES} bytes; split it.")
    try:
        films = list(_items(path, "videos"))
        images = {
            each["id"]: _Image(
                str(each["file_name"]),
                each["video_id"] if films else None,
                each.get("frame_id", each.get("frame_index", 0)),
                _size(each),
            )
            for each in _items(path, "images")
        }
        boxes: _Boxes = defaultdict(list)
        for each in _items(path, "annotations"):
            if each["image_id"] in images and not each.get("iscrowd") and (box := _box(each)):
                boxes[each["image_id"]].append((each.get("track_id", each.get("instance_id")), box))
        yield from _tracks(films, images, boxes) if films else _stills(images, boxes)
    except (KeyError, TypeError, AttributeError, ValueError, ijson.JSONError) as error:
        raise SSTrackError(
            f"{path} is no COCO file of objects ({type(error).__name__}: {error}); it needs `images` with id and "
            "file_name, and `annotations` with image_id and bbox."
        ) from error


def _items(path: Path, name: str) -> Iterator[dict[str, Any]]:
    """The objects of the list `name` at the top of a JSON file, one after the other."""
    with path.open("rb") as file:
        yield from ijson.items(file, f"{name}.item", use_float=True, buf_size=_PIECE)


def _stills(images: dict[Any, _Image], boxes: _Boxes) -> Iterator[Target]:
    for key, found in boxes.items():
        ranked = sorted((box for _, box in found), key=lambda box: (-box[2] * box[3], box))
        yield Target(
            str(key),
            (images[key].file_name,),
            (ranked[0],),
            tuple(ranked[1 : 1 + _MOST_OTHERS]),
            True,
            1.0,
            images[key].size,
        )


def _tracks(films: list[dict[str, Any]], images: dict[Any, _Image], boxes: _Boxes) -> Iterator[Target]:
    shown: dict[Any, list[Any]] = defaultdict(list)
    for key, image in images.items():
        shown[image.video].append(key)
    for film in films:
        frames = sorted(shown[film["id"]], key=lambda key: images[key].place)
        tracks: dict[Any, dict[Any, tuple[float, ...]]] = defaultdict(dict)
        for key in frames:
            for track, box in boxes.get(key, ()):
                if track is not None:
                    tracks[track][key] = box
        files = tuple(images[key].file_name for key in frames)
        for track, known in sorted(tracks.items(), key=lambda item: str(item[0])):
            name = f"{film.get('name', film['id'])}/{track}"
            row = tuple(known.get(key) for key in frames)
            yield Target(name, files, row, (), False, float(film.get("fps") or 30.0), images[frames[0]].size)


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = int(image.get("width") or 0), int(image.get("height") or 0)
    return (width, height) if width > 0 and height > 0 else None


def _box(annotation: dict[str, Any]) -> tuple[float, ...]:
    """The box of an annotation, empty where it has none with an area."""
    values = tuple(float(value) for value in annotation.get("bbox") or ())
    return values if len(values) == 4 and min(values[2:]) > 0 and np.isfinite(values).all() else ()


def read_target(path: Path, target: Target) -> Labelled:
    """A target with its files. Raises Unusable where a name leads out of the set or no file is there."""
    root = set_root(path)
    bases = [root / name for name in image_folders(path)]
    frames: list[Path | None] = []
    for name in target.files:
        found = next((base / name for base in bases if (base / name).is_file()), None)
        if found is not None and not found.resolve().is_relative_to(root.resolve()):
            raise Unusable("labels", "bad_label", f"its file name {name!r} leads out of the set")
        frames.append(found)
    if not any(frames):
        raise Unusable("labels", "missing", f"no file {target.files[0]!r} in the set's image folders")
    rows = np.array([box or (np.nan,) * 4 for box in target.boxes], dtype=np.float64)
    others = np.array(target.others, dtype=np.float64).reshape(-1, 4)
    return labelled(frames, rows, np.ones(len(rows), bool), target.fps, [], others, target.still, target.size)


def set_root(path: Path) -> Path:
    """The folder that a COCO file's images lie below."""
    return path.parent.parent if path.parent.name.lower() in ("annotations", "annotation") else path.parent


def image_folders(path: Path) -> tuple[str, ...]:
    """Where images may lie below the root; a file's name points there too: instances_train2017.json has train2017/ or
    images/train2017/."""
    split = path.stem.rpartition("_")[2]
    return (*_IMAGE_FOLDERS, split, f"images/{split}", path.stem)
