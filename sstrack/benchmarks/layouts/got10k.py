"""GOT-10k: validation clips with full truth, test clips with the first box only."""

import re
from functools import partial
from pathlib import Path

import numpy as np

from sstrack.benchmarks.layouts.files import images, leading, read_bytes
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.got10k import COVERED, GOT10K
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.text import flags, number_line, number_table

VAL = tuple(f"GOT-10k_Val_{number:06d}" for number in range(1, 181))
TEST = tuple(f"GOT-10k_Test_{number:06d}" for number in range(1, 181))


def find_got10k(root: Path, split: str) -> list[Clip]:
    """Clips of `val` or `test` under `root`, which may be that folder or hold it."""
    for place in (root / split, root):
        pattern = f"GOT-10k_{split.capitalize()}_*"
        folders = sorted(path for path in place.glob(pattern) if path.is_dir())
        if folders:
            return [Clip(folder.name, partial(_truth, folder), partial(_frames, folder)) for folder in folders]
    raise ValueError(f"no GOT-10k {split} clip under {root}: expected {split}/GOT-10k_{split.capitalize()}_000001/")


def _truth(folder: Path) -> Truth:
    path = folder / "groundtruth.txt"
    boxes = number_table(read_bytes(path), str(path), 4)
    if len(boxes) == 1:
        return Truth(folder.name, boxes, size=_resolution(folder))
    covers = number_line(read_bytes(folder / "cover.label"), str(folder / "cover.label"))
    if len(covers) != len(boxes):
        raise ValueError(f"{folder / 'cover.label'} has {len(covers)} values for {len(boxes)} rows of ground truth")
    absent = None
    if (folder / "absence.label").is_file():
        absent = flags(read_bytes(folder / "absence.label"), str(folder / "absence.label"))
    tags: dict[str, np.ndarray] = {COVERED: covers == 0}
    if (folder / "cut_by_image.label").is_file():
        cut = flags(read_bytes(folder / "cut_by_image.label"), str(folder / "cut_by_image.label"))
        tags["cut by image"] = cut[: len(boxes)]
    return Truth(folder.name, boxes, absent=absent, size=_resolution(folder), tags=tags, attributes=_classes(folder))


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    found = images(folder)
    return found if len(truth) == 1 else leading(found, len(truth), folder)


def _meta(folder: Path) -> dict[str, str]:
    path = folder / "meta_info.ini"
    if not path.is_file():
        return {}
    lines = read_bytes(path).decode("utf-8", errors="replace").splitlines()
    return {key.strip(): value.strip() for key, sign, value in (line.partition(":") for line in lines) if sign}


def _resolution(folder: Path) -> tuple[int, int] | None:
    found = re.fullmatch(r"\(\s*(\d+)\s*,\s*(\d+)\s*\)", _meta(folder).get("resolution", ""))
    return (int(found[1]), int(found[2])) if found else None


def _classes(folder: Path) -> frozenset[str]:
    meta = _meta(folder)
    kinds = ("object_class", "motion_class")
    return frozenset(f"{kind.partition('_')[0]}: {meta[kind]}" for kind in kinds if meta.get(kind, "none") != "none")


GOT10K_VAL = register(
    Benchmark(
        name="got10k",
        version="1",
        describe="GOT-10k validation set, 180 clips, AO and SR pooled over frames",
        layout="ROOT/val/GOT-10k_Val_000001/ with 00000001.jpg, groundtruth.txt (x,y,w,h), cover.label (0 to 8 per "
        "frame), meta_info.ini (resolution: (W, H)); ROOT may be val itself",
        find=partial(find_got10k, split="val"),
        rules=(GOT10K,),
        official=VAL,
        expected=180,
        repetitions=3,
    )
)
GOT10K_TEST = register(
    Benchmark(
        name="got10k_test",
        version="1",
        describe="GOT-10k test set, 180 clips, scored on the benchmark's server only",
        layout="ROOT/test/GOT-10k_Test_000001/ with 00000001.jpg and groundtruth.txt of one line; "
        "ROOT may be test itself",
        find=partial(find_got10k, split="test"),
        rules=(),
        official=TEST,
        expected=180,
        repetitions=3,
    )
)
