"""LaSOT and its extension: folders with frames, or the toolkit's folder of annotations with `absent/` beside it."""

from functools import partial
from pathlib import Path

import numpy as np

from sstrack.benchmarks.attributes import LASOT_ATTRIBUTES, read_attributes
from sstrack.benchmarks.layouts.layout import Layout, listed
from sstrack.benchmarks.layouts.reading import STRICT, Labels, Reading
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.ope import ope_rules
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.splits import split_rows

ORIGIN, FPS = 1.0, 30.0
_FLAGS = ("full_occlusion.txt", "out_of_view.txt")

LASOT_TEST = tuple(f"{row[0]}-{number}" for row in split_rows("lasot_test") for number in row[1:])
LASOT_EXT = tuple(
    f"{name}-{number}"
    for name in (
        "atv", "badminton", "cosplay", "dancingshoe", "footbag", "frisbee", "jianzi", "lantern", "misc", "opossum",
        "paddle", "raccoon", "rhino", "skatingshoe", "wingsuit",
    )
    for number in range(1, 11)
)  # fmt: skip


def find_lasot(root: Path, names: tuple[str, ...]) -> list[Clip]:
    """The clips of `names` under `root`: with frames in class folders or flat, else annotation files."""
    if not root.is_dir():
        raise ValueError(f"no folder {root}")
    clips: list[Clip] = []
    for name in sorted(names):
        folders = (root / name.rsplit("-", 1)[0] / name, root / name)
        folder = next((path for path in folders if path.is_dir()), None)
        if folder is not None:
            clips.append(Clip(name, partial(_truth, folder), partial(_frames, folder)))
    if clips:
        return clips
    for place in (root, root / "annos", root / "gt"):
        clips = [
            Clip(name, partial(_annotation, place, name), None)
            for name in sorted(names)
            if (place / f"{name}.txt").is_file()
        ]
        if clips:
            return clips
    raise ValueError(
        f"no sequence of this benchmark under {root}: expected <class>/<class>-<n>/groundtruth.txt, say "
        f"{names[0].rsplit('-', 1)[0]}/{names[0]}/groundtruth.txt, or <class>-<n>.txt with absent/<class>-<n>.txt"
    )


def read_labels(folder: Path, _: str, files: Reading) -> Labels:
    """Labels of a sequence of any split."""
    boxes = files.boxes(folder / "groundtruth.txt")
    absent = np.zeros(len(boxes), dtype=bool)
    for name in _FLAGS:
        absent |= files.flags(folder / name, len(boxes))
    return Labels(boxes, ORIGIN, FPS, absent)


def read_frames(folder: Path, _: str, files: Reading, count: int) -> tuple[Path | None, ...]:
    """Images of a sequence, numbered from 1."""
    return files.frames(folder / "img", 1, count)


def _truth(folder: Path) -> Truth:
    labels = read_labels(folder, "", STRICT)
    return Truth(folder.name, labels.boxes, ORIGIN, labels.absent)


def _annotation(place: Path, name: str) -> Truth:
    boxes = STRICT.boxes(place / f"{name}.txt")
    absent = STRICT.flags(place / "absent" / f"{name}.txt", len(boxes))
    attributes = read_attributes(place / "att", name, LASOT_ATTRIBUTES)
    return Truth(name, boxes, ORIGIN, absent, attributes=attributes)


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    return STRICT.frames(folder / "img", 1, len(truth))


def _finds(_: Path, names: frozenset[str]) -> bool:
    return {"groundtruth.txt", "img"} <= names and any(name in names for name in _FLAGS)


def _withheld(folder: Path, _: str) -> str:
    lists = (("lasot", LASOT_TEST), ("lasot_ext", LASOT_EXT))
    return next((listed(benchmark, folder.name) for benchmark, names in lists if folder.name in names), "")


_LAYOUT = (
    "ROOT/<class>/<class>-<n>/ with img/00000001.jpg, groundtruth.txt (x,y,w,h, 1-based), full_occlusion.txt and "
    "out_of_view.txt (0 or 1 per frame on one line); or annotations alone: ROOT/<class>-<n>.txt and "
    "ROOT/absent/<class>-<n>.txt"
)

LASOT_LAYOUT = Layout(
    name="lasot",
    describe="[class/]<sequence>/ with img/00000001.jpg …, groundtruth.txt, full_occlusion.txt, out_of_view.txt",
    finds=_finds,
    labels=read_labels,
    frames=read_frames,
    withheld=_withheld,
)
LASOT = register(
    Benchmark(
        name="lasot",
        version="1",
        describe="LaSOT test set, 280 long sequences",
        layout=_LAYOUT,
        find=partial(find_lasot, names=LASOT_TEST),
        rules=ope_rules("lasot"),
        official=LASOT_TEST,
        expected=280,
    )
)
EXTENSION = register(
    Benchmark(
        name="lasot_ext",
        version="1",
        describe="LaSOT extension subset, 150 long sequences of 15 classes not trained on",
        layout=_LAYOUT,
        find=partial(find_lasot, names=LASOT_EXT),
        rules=ope_rules("lasot_extension_subset"),
        official=LASOT_EXT,
        expected=150,
    )
)
