"""UAV123, UAV20L and UAV123@10fps: several targets per video, each with its own window of frames."""

import re
from functools import partial
from pathlib import Path

from sstrack.benchmarks.attributes import UAV_ATTRIBUTES, read_attributes
from sstrack.benchmarks.layouts.files import numbered, read_bytes
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.ope import ope_rules
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.splits import split_names, split_rows
from sstrack.benchmarks.text import number_table

ORIGIN = 1.0
UAV123_NAMES = split_names("uav123")
UAV20L_NAMES = (
    "bike1", "bird1", "car1", "car3", "car6", "car8", "car9", "car16", "group1", "group2", "group3", "person2",
    "person4", "person5", "person7", "person14", "person17", "person19", "person20", "uav1",
)  # fmt: skip


def video_of(target: str) -> str:
    """`bird1_2` is the second target of video `bird1`; `car1_s` is a video of its own."""
    return re.sub(r"_\d+$", "", target)


def find_uav(root: Path, *, folder: str, frames: str, names: tuple[str, ...], every: int) -> list[Clip]:
    """Targets with an annotation under `root`/anno/`folder`."""
    place = root / "anno" / folder
    firsts = {row[0]: (int(row[1]) - 1) // every + 1 for row in split_rows("uav123")}
    clips = [
        Clip(
            name,
            partial(_truth, place, name),
            partial(_frames, root / "data_seq" / frames / video_of(name), firsts.get(name, 1)),
        )
        for name in sorted(names)
        if (place / f"{name}.txt").is_file()
    ]
    if not clips:
        raise ValueError(f"no target of this benchmark under {root}: expected anno/{folder}/{names[0]}.txt")
    return clips


def _truth(place: Path, name: str) -> Truth:
    path = place / f"{name}.txt"
    boxes = number_table(read_bytes(path), str(path), 4)
    attributes = read_attributes(place / "att", name, UAV_ATTRIBUTES)
    return Truth(name, boxes, ORIGIN, attributes=attributes, aliases=(f"uav_{name}",))


def _frames(video: Path, first: int, truth: Truth) -> tuple[Path, ...]:
    return numbered(video, first, len(truth))


def _register(name: str, folder: str, frames: str, names: tuple[str, ...], every: int, describe: str) -> Benchmark:
    return register(
        Benchmark(
            name=name,
            version="1",
            describe=describe,
            layout=f"ROOT/data_seq/{frames}/<video>/000001.jpg and ROOT/anno/{folder}/<target>.txt "
            "(x,y,w,h, 1-based, NaN where absent)",
            find=partial(find_uav, folder=folder, frames=frames, names=names, every=every),
            rules=ope_rules("uav"),
            official=names,
            expected=len(names),
        )
    )


UAV123 = _register("uav123", "UAV123", "UAV123", UAV123_NAMES, 1, "UAV123, 123 targets from 91 aerial videos")
UAV123_10FPS = _register(
    "uav123_10fps", "UAV123_10fps", "UAV123_10fps", UAV123_NAMES, 3, "UAV123 with every third frame"
)
UAV20L = _register("uav20l", "UAV20L", "UAV123", UAV20L_NAMES, 1, "UAV20L, 20 long aerial targets")
