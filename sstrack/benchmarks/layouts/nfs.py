"""NFS (Need for Speed), 30 or 240 frames a second: corner boxes, annotated at 240."""

from functools import partial
from pathlib import Path

import numpy as np

from sstrack.benchmarks.layouts.frames import images
from sstrack.benchmarks.layouts.reading import read_bytes
from sstrack.benchmarks.registry import Benchmark, Clip, register
from sstrack.benchmarks.rules.ope import ope_rules
from sstrack.benchmarks.sequence import Truth

RATES = (30, 240)


def find_nfs(root: Path, rate: int) -> list[Clip]:
    """Clips <name>/<rate>/<name>.txt under `root`."""
    tables = sorted(path for path in root.glob(f"*/{rate}/*.txt") if path.stem == path.parent.parent.name)
    if not tables:
        raise ValueError(f"no NFS sequence under {root}: expected <sequence>/{rate}/<sequence>.txt")
    return [Clip(path.stem, partial(_truth, path, rate), partial(_frames, path.parent / path.stem)) for path in tables]


def _truth(path: Path, rate: int) -> Truth:
    """Rows are track, x1, y1, x2, y2, three flags and a quoted label, one per frame at 240 frames a second."""
    rows: list[list[float]] = []
    for number, line in enumerate(read_bytes(path).decode("latin1").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append([float(word) for word in line.split()[1:5]])
        except ValueError:
            rows.append([])
        if len(rows[-1]) != 4:
            raise ValueError(f"{path} line {number}: expected track x1 y1 x2 y2 and flags, got {line[:60]!r}")
    corners = np.array(rows, dtype=np.float64).reshape(-1, 4)
    boxes = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)
    frames = len(images(path.parent / path.stem))
    # At 30 frames a second the same table is shipped; every eighth row belongs to an image.
    if rate == 30 and frames and abs(len(boxes) / frames - 8) < 1:
        boxes = boxes[::8]
    if frames and abs(len(boxes) - frames) == 1:
        boxes = boxes[:frames]
    return Truth(path.stem, boxes, aliases=(f"nfs_{path.stem}",))


def _frames(folder: Path, truth: Truth) -> tuple[Path, ...]:
    found = images(folder)
    if len(found) not in (len(truth), len(truth) + 1):
        raise ValueError(f"{folder} has {len(found)} images for {len(truth)} rows of ground truth")
    return found[: len(truth)]


for _rate in RATES:
    register(
        Benchmark(
            name="nfs" if _rate == 30 else "nfs240",
            version="1",
            describe=f"Need for Speed, 100 sequences at {_rate} frames a second",
            layout=f"ROOT/<sequence>/{_rate}/<sequence>.txt (track x1 y1 x2 y2 ...) and "
            f"ROOT/<sequence>/{_rate}/<sequence>/00001.jpg",
            find=partial(find_nfs, rate=_rate),
            rules=ope_rules("nfs"),
            expected=100,
        )
    )
