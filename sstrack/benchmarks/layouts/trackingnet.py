"""TrackingNet's test set: the released folder with one box per clip, or ground truth as a zip or folder of tables."""

from functools import partial
from pathlib import Path, PurePosixPath

from sstrack.benchmarks.layouts.files import images, leading, read_bytes
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.trackingnet import TRACKINGNET
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.text import number_table
from sstrack.benchmarks.tree import Tree, open_tree


def find_trackingnet(root: Path) -> list[Clip]:
    """Clips of `TEST` (or of a folder with `anno` and `frames`), else tables in a zip or flat folder."""
    for place in (root / "TEST", root):
        tables = sorted((place / "anno").glob("*.txt"))
        if tables:
            return [Clip(path.stem, partial(_truth, path), partial(_frames, place / "frames")) for path in tables]
    tree = open_tree(root)
    names = sorted(name for name in tree.names if PurePosixPath(name).suffix == ".txt")
    if not names or (root.is_dir() and any("/" in name for name in names)):
        raise ValueError(f"no TrackingNet ground truth in {root}: expected TEST/anno/<id>.txt, or a zip of <id>.txt")
    return [Clip(PurePosixPath(name).stem, partial(_member, tree, name), None) for name in names]


def _truth(path: Path) -> Truth:
    return Truth(path.stem, number_table(read_bytes(path), str(path), 4))


def _member(tree: Tree, name: str) -> Truth:
    return Truth(PurePosixPath(name).stem, number_table(tree.read(name), tree.where(name), 4))


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    found = images(folder / truth.name)
    if not found:
        raise ValueError(f"no images in {folder / truth.name}: expected 0.jpg, 1.jpg and so on")
    return found if len(truth) == 1 else leading(found, len(truth), folder / truth.name)


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
