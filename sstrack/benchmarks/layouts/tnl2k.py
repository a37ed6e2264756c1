"""TNL2K's test set: folders with frames (some downloads nest them once more), or the toolkit's annotation folder."""

from functools import partial
from pathlib import Path

from sstrack.benchmarks.attributes import TNL2K_ATTRIBUTES, read_attributes
from sstrack.benchmarks.layouts.frames import first_folder
from sstrack.benchmarks.layouts.layout import Layout, listed
from sstrack.benchmarks.layouts.reading import STRICT, Labels, Reading
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.ope import ope_rules
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.splits import split_names

NAMES = split_names("tnl2k_test")
FPS = 30.0
_FRAMES = ("imgs", "frames")
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


def read_labels(folder: Path, _: str, files: Reading) -> Labels:
    """Labels of a sequence of any split.

    Released folders carry no flags; all flagged frames of the toolkit's have zero boxes, twelve others do too.
    """
    boxes = files.boxes(folder / "groundtruth.txt")
    return Labels(boxes, 0.0, FPS, absent=(boxes[:, 2:] == 0).all(axis=1))


def read_frames(folder: Path, _: str, files: Reading, count: int) -> tuple[Path | None, ...]:
    """Images of a sequence in their order."""
    return files.frames(_place(folder), None, count)


def _place(folder: Path) -> Path:
    return first_folder(folder / name for name in _FRAMES) or folder / _FRAMES[0]


def _truth(folder: Path) -> Truth:
    labels = read_labels(folder, "", STRICT)
    return Truth(folder.name, labels.boxes, absent=labels.absent, notes=(ZERO_IS_ABSENT,))


def _annotation(place: Path, name: str) -> Truth:
    boxes = STRICT.boxes(place / "gt_rect" / f"{name}.txt")
    absent = STRICT.flags(place / "absent" / f"{name}.txt", len(boxes))
    attributes = read_attributes(place / "att", name, TNL2K_ATTRIBUTES)
    return Truth(name, boxes, absent=absent, attributes=attributes)


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    return STRICT.frames(_place(folder), None, len(truth))


def _finds(_: Path, names: frozenset[str]) -> bool:
    return "groundtruth.txt" in names and any(name in names for name in _FRAMES)


def _withheld(folder: Path, _: str) -> str:
    return listed("tnl2k", folder.name) if folder.name in NAMES else ""


TNL2K_LAYOUT = Layout(
    name="tnl2k",
    describe="<sequence>/ with imgs/ or frames/ and groundtruth.txt (x,y,w,h, counted from 0)",
    finds=_finds,
    labels=read_labels,
    frames=read_frames,
    withheld=_withheld,
)
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
