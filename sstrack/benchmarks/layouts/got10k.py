"""GOT-10k: validation clips with full truth, test clips with the first box only."""

import re
from functools import partial
from pathlib import Path

import numpy as np

from sstrack.benchmarks.layouts.layout import Layout, listed
from sstrack.benchmarks.layouts.reading import STRICT, Labels, Reading, read_bytes
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.got10k import COVERED, GOT10K
from sstrack.benchmarks.sequence import Truth

VAL = tuple(f"GOT-10k_Val_{number:06d}" for number in range(1, 181))
TEST = tuple(f"GOT-10k_Test_{number:06d}" for number in range(1, 181))
FPS = 10.0
_MARKS = frozenset({"absence.label", "cover.label", "cut_by_image.label", "meta_info.ini"})


def find_got10k(root: Path, split: str) -> list[Clip]:
    """Clips of `val` or `test` under `root`, which may be that folder or hold it."""
    for place in (root / split, root):
        pattern = f"GOT-10k_{split.capitalize()}_*"
        folders = sorted(path for path in place.glob(pattern) if path.is_dir())
        if folders:
            return [Clip(folder.name, partial(_truth, folder), partial(_frames, folder)) for folder in folders]
    raise ValueError(f"no GOT-10k {split} clip under {root}: expected {split}/GOT-10k_{split.capitalize()}_000001/")


def read_labels(folder: Path, _: str, files: Reading) -> Labels:
    """Labels of a clip of any split; a test clip has one box and nothing else."""
    boxes = files.boxes(folder / "groundtruth.txt")
    if len(boxes) == 1:
        return Labels(boxes, 0.0, FPS, size=_resolution(folder))
    absence = folder / "absence.label"
    absent = files.flags(absence, len(boxes)) if absence.is_file() else None
    covers = files.numbers(folder / "cover.label", len(boxes))
    return Labels(boxes, 0.0, FPS, absent, None if covers is None else covers == 0, _resolution(folder))


def read_frames(folder: Path, _: str, files: Reading, count: int) -> tuple[Path | None, ...]:
    """Images of a clip, numbered from 1; all of them where there is one box."""
    return files.frames(folder, 1, None if count == 1 else count)


def _truth(folder: Path) -> Truth:
    labels = read_labels(folder, "", STRICT)
    tags: dict[str, np.ndarray] = {}
    if labels.covered is not None:
        tags[COVERED] = labels.covered
        if (folder / "cut_by_image.label").is_file():
            tags["cut by image"] = STRICT.flags(folder / "cut_by_image.label", len(labels.boxes))
    attributes = _classes(folder) if len(labels.boxes) > 1 else frozenset[str]()
    return Truth(folder.name, labels.boxes, absent=labels.absent, size=labels.size, tags=tags, attributes=attributes)


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    return STRICT.frames(folder, 1, None if len(truth) == 1 else len(truth))


def _finds(folder: Path, names: frozenset[str]) -> bool:
    return "groundtruth.txt" in names and (bool(_MARKS & names) or folder.name.startswith("GOT-10k_"))


def _withheld(folder: Path, _: str) -> str:
    if folder.name in VAL:
        return listed("got10k", folder.name)
    if folder.name in TEST or folder.parent.name == "test" or "_Test_" in folder.name:
        return "GOT-10k's test split is benchmark got10k_test and has one box per film"
    return ""


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


GOT10K_LAYOUT = Layout(
    name="got10k",
    describe="[split/]GOT-10k_*/ with 00000001.jpg …, groundtruth.txt (x,y,w,h), absence.label, cover.label",
    finds=_finds,
    labels=read_labels,
    frames=read_frames,
    withheld=_withheld,
)
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
