"""Finds labelled sequences below a folder, by the layout that is named or by the files that lie there."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.errors import UsageError
from pipelines.ingest.labelled import coco
from pipelines.ingest.labelled.sequence import Labelled, labelled
from pipelines.ingest.labelled.tolerant import Tolerant
from pipelines.ingest.reject import Unusable
from sstrack.benchmarks.layouts.frames import hidden
from sstrack.benchmarks.layouts.known import LAYOUTS as _LAYOUTS
from sstrack.benchmarks.layouts.layout import Layout

_DEEPEST = 6
LAYOUTS = (*_LAYOUTS, "coco")
"""Names that `--layout` takes; the first that fits is taken where none is named."""


@dataclass(frozen=True)
class Member:
    """One sequence of a set: the layout's name, the folder or file it is read from, its name inside that."""

    layout: str
    path: Path
    name: str
    target: coco.Target | None = None
    withheld: str = ""
    """Why it is one of those that trackers are judged on, in words; empty where it is none."""

    def read(self) -> Labelled:
        """Frames and labels. Raises Unusable."""
        if self.target is not None:
            return coco.read_target(self.path, self.target)
        return _read(_LAYOUTS[self.layout], self.path, self.name)

    def version(self) -> tuple[str, int]:
        """What tells this sequence from an earlier one at the same place, and its bytes."""
        return _fingerprint(self._files())

    def places(self) -> tuple[Path, ...]:
        """Files and folders that it is read from; of a COCO file the file alone."""
        return (self.path,) if self.target is not None else _LAYOUTS[self.layout].places(self.path, self.name)

    def _files(self) -> Iterator[Path]:
        for place in self.places():
            yield from _below(place) if place.is_dir() else [place] if place.is_file() else ()


def find_members(folder: Path, layout: str) -> Iterator[Member]:
    """Labelled sequences below `folder`, of any layout where none is named. Raises UsageError for an unknown one."""
    if layout and layout not in LAYOUTS:
        raise UsageError(f"--layout {layout}: known are {', '.join(LAYOUTS)}")
    wanted = [_LAYOUTS[layout]] if layout in _LAYOUTS else list(_LAYOUTS.values()) if not layout else []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not hidden(name))
        here = Path(place)
        found = next((kind for kind in wanted if kind.finds(here, frozenset([*folders, *files]))), None)
        if found is not None:
            yield from _members(found, here)
        if layout in ("", "coco"):
            for name in sorted(files):
                if name.endswith(".json") and may_be_coco(here, name, layout) and coco.is_coco(here / name):
                    yield from (Member("coco", here / name, each.name, each) for each in coco.targets(here / name))
        if found is not None or len(here.relative_to(folder).parts) >= _DEEPEST:
            folders.clear()


def describe(layout: str) -> str:
    """What a layout looks like, in words."""
    if layout == "coco":
        return "annotations/<name>_<split>.json (COCO objects, or films with `videos`) and <split>/ or images/"
    return _LAYOUTS[layout].describe


def _members(layout: Layout, folder: Path) -> Iterator[Member]:
    for path, name in layout.members(folder):
        yield Member(layout.name, path, name, withheld=layout.withheld(path, name))


def _read(layout: Layout, path: Path, name: str) -> Labelled:
    files = Tolerant()
    try:
        labels = layout.labels(path, name, files)
        frames = layout.frames(path, name, files, len(labels.boxes))
    except ValueError as error:
        raise Unusable("labels", "bad_label", str(error)) from error
    boxes = labels.boxes - (labels.origin, labels.origin, 0, 0)
    seen = np.ones(len(boxes), bool)
    for unseen in (labels.absent, labels.covered):
        if unseen is not None:
            seen &= ~unseen
    return labelled(frames, boxes, seen, labels.fps, files.wrong, size=labels.size)


def may_be_coco(folder: Path, name: str, layout: str) -> bool:
    """Without a named layout only files in a folder `annotations` are looked into."""
    return not hidden(name) and (layout == "coco" or folder.name.lower() == "annotations")


def _below(folder: Path) -> Iterator[Path]:
    for place, _, files in os.walk(folder):
        yield from (Path(place) / name for name in files)


def _fingerprint(files: Iterable[Path]) -> tuple[str, int]:
    count, size, newest = 0, 0, 0
    for path in files:
        state = path.stat() if path.exists() else path.lstat()  # a link may lead nowhere: that frame is missing
        count, size, newest = count + 1, size + state.st_size, max(newest, state.st_mtime_ns)
    return f"{count}-{size}-{newest}", size
