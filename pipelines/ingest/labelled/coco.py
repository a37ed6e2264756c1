"""COCO files: pictures with boxes, and films where the file has `videos` (one target per track)."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import SSTrackError
from pipelines.ingest.labelled.sequence import Labelled, labelled
from pipelines.ingest.reject import Unusable

MOST_BYTES = 2 << 30
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


def targets(path: Path) -> Iterator[Target]:
    """All targets of a COCO file. Raises SSTrackError where it is none."""
    if path.stat().st_size > MOST_BYTES:
        raise SSTrackError(f"{path} is above {MOST_BYTES} bytes; split it.")
    try:
        body = json.loads(path.read_bytes())
        images = {image["id"]: image for image in body["images"]}
        by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for annotation in body["annotations"]:
            if annotation["image_id"] in images and not annotation.get("iscrowd") and _box(annotation):
                by_image[annotation["image_id"]].append(annotation)
        yield from _tracks(body, images, by_image) if body.get("videos") else _stills(images, by_image)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SSTrackError(
            f"{path} is no COCO file of objects ({type(error).__name__}: {error}); it needs `images` with id and "
            "file_name, and `annotations` with image_id and bbox."
        ) from error


def _stills(images: dict[Any, dict[str, Any]], by_image: dict[Any, list[dict[str, Any]]]) -> Iterator[Target]:
    for key, annotations in by_image.items():
        boxes = sorted((_box(each) for each in annotations), key=lambda box: (-box[2] * box[3], box))
        yield Target(str(key), (images[key]["file_name"],), (boxes[0],), tuple(boxes[1 : 1 + _MOST_OTHERS]), True, 1.0)


def _tracks(
    body: dict[str, Any], images: dict[Any, dict[str, Any]], by_image: dict[Any, list[dict[str, Any]]]
) -> Iterator[Target]:
    films: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for image in images.values():
        films[image["video_id"]].append(image)
    for video in body["videos"]:
        frames = sorted(films[video["id"]], key=lambda image: image.get("frame_id", image.get("frame_index", 0)))
        tracks: dict[Any, dict[Any, tuple[float, ...]]] = defaultdict(dict)
        for image in frames:
            for annotation in by_image.get(image["id"], ()):
                track = annotation.get("track_id", annotation.get("instance_id"))
                if track is not None:
                    tracks[track][image["id"]] = _box(annotation)
        files = tuple(image["file_name"] for image in frames)
        for track, boxes in sorted(tracks.items(), key=lambda item: str(item[0])):
            name = f"{video.get('name', video['id'])}/{track}"
            row = tuple(boxes.get(image["id"]) for image in frames)
            yield Target(name, files, row, (), False, float(video.get("fps") or 30.0))


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
    return labelled(frames, rows, np.ones(len(rows), bool), target.fps, [], others, target.still)


def set_root(path: Path) -> Path:
    """The folder that a COCO file's images lie below."""
    return path.parent.parent if path.parent.name.lower() in ("annotations", "annotation") else path.parent


def image_folders(path: Path) -> tuple[str, ...]:
    """Where images may lie below the root; a file's name points there too: instances_train2017.json has train2017/ or
    images/train2017/."""
    split = path.stem.rpartition("_")[2]
    return (*_IMAGE_FOLDERS, split, f"images/{split}", path.stem)
