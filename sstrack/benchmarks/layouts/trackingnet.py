"""TrackingNet's test set: the released folder with one box per clip, or ground truth as a zip or folder of tables."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from sstrack.benchmarks.layouts.frames import hidden
from sstrack.benchmarks.layouts.layout import Layout, Member
from sstrack.benchmarks.layouts.reading import STRICT, Labels, Reading
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.trackingnet import TRACKINGNET
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.text import number_table
from sstrack.benchmarks.tree import Tree, open_tree

FPS = 30.0


def find_trackingnet(root: Path) -> list[Clip]:
    """Clips of `TEST` (or of a folder with `anno` and `frames`), else tables in a zip or flat folder."""
    for place in (root / "TEST", root):
        names = [name for _, name in members(place)]
        if names:
            return [Clip(name, partial(_truth, place, name), partial(_frames, place)) for name in names]
    tree = open_tree(root)
    names = sorted(
        name for name in tree.names if PurePosixPath(name).suffix == ".txt" and not hidden(PurePosixPath(name).name)
    )
    if not names or (root.is_dir() and any("/" in name for name in names)):
        raise ValueError(f"no TrackingNet ground truth in {root}: expected TEST/anno/<id>.txt, or a zip of <id>.txt")
    return [Clip(PurePosixPath(name).stem, partial(_member, tree, name), None) for name in names]


def members(split: Path) -> Iterator[Member]:
    """The clips of a split's folder, which are files of labels there."""
    for path in sorted((split / "anno").glob("*.txt")):
        if not hidden(path.name):
            yield split, path.stem


def read_labels(split: Path, name: str, files: Reading) -> Labels:
    """Labels of a clip of any split; in the test split the first box alone."""
    return Labels(files.boxes(split / "anno" / f"{name}.txt"), 0.0, FPS)


def read_frames(split: Path, name: str, files: Reading, count: int) -> tuple[Path | None, ...]:
    """Images of a clip, numbered from 0; all of them where there is one box."""
    return files.frames(split / "frames" / name, 0, None if count == 1 else count)


def _truth(split: Path, name: str) -> Truth:
    return Truth(name, read_labels(split, name, STRICT).boxes)


def _member(tree: Tree, name: str) -> Truth:
    return Truth(PurePosixPath(name).stem, number_table(tree.read(name), tree.where(name), 4))


def _frames(split: Path, truth: Truth) -> tuple[Path, ...]:
    return STRICT.frames(split / "frames" / truth.name, 0, None if len(truth) == 1 else len(truth))


def _finds(_: Path, names: frozenset[str]) -> bool:
    return {"anno", "frames"} <= names


def _places(split: Path, name: str) -> tuple[Path, ...]:
    return split / "anno" / f"{name}.txt", split / "frames" / name


def _withheld(split: Path, _: str) -> str:
    if "test" in (split.name.lower(), split.parent.name.lower()):
        return "all of TEST is benchmark trackingnet, whose list is not fixed here"
    return ""


TRACKINGNET_LAYOUT = Layout(
    name="trackingnet",
    describe="<split>/ with frames/<id>/0.jpg … and anno/<id>.txt",
    finds=_finds,
    labels=read_labels,
    frames=read_frames,
    withheld=_withheld,
    members=members,
    places=_places,
)
TRACKINGNET_TEST = register(
    Benchmark(
        name="trackingnet",
        version="1",
        describe="TrackingNet test set, 511 clips; the full truth is on the benchmark's server",
        layout="ROOT/TEST/anno/<id>.txt (first box) and ROOT/TEST/frames/<id>/0.jpg; for scoring a zip or folder of "
        "<id>.txt with x,y,w,h per frame",
        find=find_trackingnet,
        rules=(TRACKINGNET,),
        expected=511,
    )
)
