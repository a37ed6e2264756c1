"""TLP (Track Long and Prosper): 50 long videos with a lost flag per frame."""

from functools import partial
from pathlib import Path

from sstrack.benchmarks.layouts.reading import STRICT, read_bytes
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.ope import ope_rules
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.text import number_table


def find_tlp(root: Path) -> list[Clip]:
    """Clips with a `groundtruth_rect.txt` of six columns under `root`."""
    tables = sorted(root.glob("*/groundtruth_rect.txt"))
    if not tables:
        raise ValueError(f"no TLP sequence under {root}: expected <Sequence>/groundtruth_rect.txt")
    return [Clip(path.parent.name, partial(_truth, path), partial(_frames, path.parent)) for path in tables]


def _truth(path: Path) -> Truth:
    rows = number_table(read_bytes(path), str(path), 6)
    return Truth(path.parent.name, rows[:, 1:5], 1.0, absent=rows[:, 5] > 0)


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    return STRICT.frames(folder / "img", 1, len(truth))


TLP = register(
    Benchmark(
        name="tlp",
        version="1",
        describe="TLP, 50 long videos",
        layout="ROOT/<Sequence>/img/00001.jpg and groundtruth_rect.txt (frame,x,y,w,h,lost per row, 1-based)",
        find=find_tlp,
        rules=ope_rules("tlp"),
        expected=50,
    )
)
