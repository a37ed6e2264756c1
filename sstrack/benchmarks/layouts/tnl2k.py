"""TNL2K's test set: folders with frames (some downloads nest them once more), or the toolkit's annotation folder."""

from functools import partial
from pathlib import Path

from sstrack.benchmarks.attributes import TNL2K_ATTRIBUTES, read_attributes
from sstrack.benchmarks.layouts.files import first_folder, images, leading, read_bytes
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.ope import ope_rules
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.splits import split_names
from sstrack.benchmarks.text import flags, number_table

NAMES = split_names("tnl2k_test")
ZERO_IS_ABSENT = "sequences without absence flags: frames with a zero box taken as absent"


def find_tnl2k(root: Path) -> list[Clip]:
    """Test clips under `root` or one folder further down, else annotation files in `gt_rect`."""
    if not root.is_dir():
        raise ValueError(f"no folder {root}")
    wanted = set(NAMES)
    inner = [path for path in root.iterdir() if path.is_dir()]
    deeper = (child for folder in inner if folder.name not in wanted for child in folder.iterdir() if child.is_dir())
    folders = {path.name: path for path in (*deeper, *inner) if path.name in wanted}
    if folders:
        return [
            Clip(name, partial(_truth, folder), partial(_frames, folder)) for name, folder in sorted(folders.items())
        ]
    for place in (root, root / "annos", root / "gt"):
        names = [name for name in sorted(wanted) if (place / "gt_rect" / f"{name}.txt").is_file()]
        if names:
            return [Clip(name, partial(_annotation, place, name), None) for name in names]
    raise ValueError(
        f"no TNL2K test sequence under {root}: expected <sequence>/imgs and <sequence>/groundtruth.txt, say "
        f"{NAMES[0]}/, or gt_rect/<sequence>.txt with absent/<sequence>.txt"
    )


def _truth(folder: Path) -> Truth:
    path = folder / "groundtruth.txt"
    boxes = number_table(read_bytes(path), str(path), 4)
    # Released folders carry no flags; all flagged frames of the toolkit's have zero boxes, twelve others do too.
    return Truth(folder.name, boxes, absent=(boxes[:, 2:] == 0).all(axis=1), notes=(ZERO_IS_ABSENT,))


def _annotation(place: Path, name: str) -> Truth:
    path, hidden = place / "gt_rect" / f"{name}.txt", place / "absent" / f"{name}.txt"
    boxes = number_table(read_bytes(path), str(path), 4)
    absent = flags(read_bytes(hidden), str(hidden))
    if len(absent) < len(boxes):
        raise ValueError(f"{hidden} has {len(absent)} flags for {len(boxes)} rows of ground truth")
    attributes = read_attributes(place / "att", name, TNL2K_ATTRIBUTES)
    return Truth(name, boxes, absent=absent[: len(boxes)], attributes=attributes)


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    place = first_folder((folder / "imgs", folder / "frames")) or folder / "imgs"
    return leading(images(place), len(truth), place)


TNL2K = register(
    Benchmark(
        name="tnl2k",
        version="1",
        describe="TNL2K test set, 700 sequences, cartoons and thermal video among them",
        layout="ROOT/<sequence>/imgs/* (or frames/*) and groundtruth.txt (x,y,w,h, 0-based), also one folder further "
        "down; or annotations alone: ROOT/gt_rect/<sequence>.txt and ROOT/absent/<sequence>.txt",
        find=find_tnl2k,
        rules=tuple(rule for rule in ope_rules("tnl2k") if rule.name != "pysot"),
        official=NAMES,
        expected=700,
    )
)
