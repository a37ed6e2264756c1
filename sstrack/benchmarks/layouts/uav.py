"""UAV123, UAV20L and UAV123@10fps: several targets per video, each with its own window of frames."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sstrack.benchmarks.attributes import UAV_ATTRIBUTES, read_attributes
from sstrack.benchmarks.layouts.frames import hidden
from sstrack.benchmarks.layouts.layout import Layout, Member, listed
from sstrack.benchmarks.layouts.reading import STRICT, Labels, Reading
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.ope import ope_rules
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.splits import split_names, split_rows

ORIGIN = 1.0
UAV123_NAMES = split_names("uav123")
UAV20L_NAMES = (
    "bike1", "bird1", "car1", "car3", "car6", "car8", "car9", "car16", "group1", "group2", "group3", "person2",
    "person4", "person5", "person7", "person14", "person17", "person19", "person20", "uav1",
)  # fmt: skip


@dataclass(frozen=True)
class _Set:
    """A folder of annotations: its benchmark, where its frames lie, and how many of UAV123's frames make one."""

    benchmark: str
    frames: str
    names: tuple[str, ...]
    every: int = 1


_SETS = {
    "UAV123": _Set("uav123", "UAV123", UAV123_NAMES),
    "UAV123_10fps": _Set("uav123_10fps", "UAV123_10fps", UAV123_NAMES, every=3),
    "UAV20L": _Set("uav20l", "UAV123", UAV20L_NAMES),
}
"""By the name of the folder."""
_FIRSTS = {row[0]: int(row[1]) for row in split_rows("uav123")}


def video_of(target: str) -> str:
    """`bird1_2` is the second target of video `bird1`; `car1_s` is a video of its own."""
    return re.sub(r"_\d+$", "", target)


def find_uav(root: Path, *, folder: str) -> list[Clip]:
    """Targets with an annotation under `root`/anno/`folder`."""
    names = sorted(_SETS[folder].names)
    there = [name for name in names if (root / "anno" / folder / f"{name}.txt").is_file()]
    if not there:
        raise ValueError(f"no target of this benchmark under {root}: expected anno/{folder}/{names[0]}.txt")
    return [Clip(name, partial(_truth, root, folder, name), partial(_frames, root, folder)) for name in there]


def members(root: Path) -> Iterator[Member]:
    """All targets with an annotation, as `<folder>/<target>`."""
    for folder in _SETS:
        for path in sorted((root / "anno" / folder).glob("*.txt")):
            if not hidden(path.name):
                yield root, f"{folder}/{path.stem}"


def read_labels(root: Path, name: str, files: Reading) -> Labels:
    """Labels of a target."""
    fps = 30.0 / _SETS[_parts(name)[0]].every
    return Labels(files.boxes(root / "anno" / f"{name}.txt"), ORIGIN, fps)


def read_frames(root: Path, name: str, files: Reading, count: int) -> tuple[Path | None, ...]:
    """Images of a target: a window of its video."""
    video, first = _window(root, *_parts(name))
    return files.frames(video, first, count)[:count]


def _parts(name: str) -> tuple[str, str]:
    folder, _, target = name.partition("/")
    return folder, target


def _window(root: Path, folder: str, target: str) -> tuple[Path, int]:
    """The folder of a target's video, and the number of the first image that it is annotated on."""
    which = _SETS[folder]
    first = (_FIRSTS.get(target, 1) - 1) // which.every + 1
    return root / "data_seq" / which.frames / video_of(target), first


def _truth(root: Path, folder: str, name: str) -> Truth:
    boxes = read_labels(root, f"{folder}/{name}", STRICT).boxes
    attributes = read_attributes(root / "anno" / folder / "att", name, UAV_ATTRIBUTES)
    return Truth(name, boxes, ORIGIN, attributes=attributes, aliases=(f"uav_{name}",))


def _frames(root: Path, folder: str, truth: Truth) -> tuple[Path, ...]:
    video, first = _window(root, folder, truth.name)
    return STRICT.frames(video, first, len(truth))


def _finds(_: Path, names: frozenset[str]) -> bool:
    return {"anno", "data_seq"} <= names


def _places(root: Path, name: str) -> tuple[Path, ...]:
    return root / "anno" / f"{name}.txt", _window(root, *_parts(name))[0]


def _withheld(_: Path, name: str) -> str:
    folder, target = _parts(name)
    return listed(_SETS[folder].benchmark, target) if target in _SETS[folder].names else ""


def withheld_by_name(target: str) -> str:
    """As `Layout.withheld`, for a target that came out of its folders."""
    for which in _SETS.values():
        if target in which.names:
            return listed(which.benchmark, target)
    return ""


UAV_LAYOUT = Layout(
    name="uav",
    describe="anno/UAV123/<target>.txt and data_seq/UAV123/<video>/000001.jpg …, counted from 1",
    finds=_finds,
    labels=read_labels,
    frames=read_frames,
    withheld=_withheld,
    members=members,
    places=_places,
)


def _register(folder: str, describe: str) -> Benchmark:
    which = _SETS[folder]
    return register(
        Benchmark(
            name=which.benchmark,
            version="1",
            describe=describe,
            layout=f"ROOT/data_seq/{which.frames}/<video>/000001.jpg and ROOT/anno/{folder}/<target>.txt "
            "(x,y,w,h, 1-based, NaN where absent)",
            find=partial(find_uav, folder=folder),
            rules=ope_rules("uav"),
            official=which.names,
            expected=len(which.names),
        )
    )


UAV123 = _register("UAV123", "UAV123, 123 targets from 91 aerial videos")
UAV123_10FPS = _register("UAV123_10fps", "UAV123 with every third frame")
UAV20L = _register("UAV20L", "UAV20L, 20 long aerial targets")
