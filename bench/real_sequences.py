"""Real sequences with truth, read from the layouts they come in, and the mean overlap of a tracker on them.

    python bench/real_sequences.py MODEL [--root DIR ...] [--frames 150] [--set memory=0 ...] [--each]
                                   [--into results.json --name NAME]

MODEL is what `sstrack track --model` takes. One number a sequence: the mean IoU over its frames after the first that
have a true box, of at most `--frames` frames; then the mean over sequences. All sequences advance in one batch.
"""

import argparse
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.registry.models import resolve_model
from pipelines.tracking.options import tracking_config
from sstrack.models.package import load_package
from sstrack.tracking.tracker import Tracker

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
ROOTS = (SHARED / "sequences", SHARED / "sequences-more")


@dataclass(frozen=True)
class RealSequence:
    """Where a sequence's frames are, and its true boxes `[T, 4]`, xywh in pixels, 0-based, NaN where absent."""

    name: str
    source: Path
    """A folder of pictures, or a video."""
    truth: NDArray[np.float64]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Frames `[H, W, 3]` RGB, as many as have a row of truth."""
        found = video_frames(self.source) if self.source.is_file() else folder_frames(self.source)
        return itertools.islice(found, len(self.truth))


def real_sequences(roots: tuple[Path, ...] = ROOTS, frames: int = 150) -> list[RealSequence]:
    """All sequences under the roots, cut to their first `frames` frames, by name."""
    found: list[RealSequence] = []
    for root in roots:
        for truth in sorted(root.rglob("*")):
            if truth.name in ("groundtruth_rect.txt", "groundtruth.txt", "gt.txt") or (
                truth.parent.parent.name == "uav123" and truth.name == f"{truth.parent.name}.txt"
            ):
                found.append(_with_text(truth))
            elif truth.is_dir() and truth.name == "mask":
                found.append(RealSequence(truth.parent.name, truth.parent / "img", _boxes_of_masks(truth)))
    return [RealSequence(each.name, each.source, each.truth[:frames]) for each in sorted(found, key=lambda s: s.name)]


def overlaps(found: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU `[T]` of xywh boxes `[T, 4]`, NaN where there is no truth."""
    low = np.maximum(found[:, :2], truth[:, :2])
    high = np.minimum(found[:, :2] + found[:, 2:], truth[:, :2] + truth[:, 2:])
    inner = np.clip(high - low, 0, None).prod(1)
    return inner / (found[:, 2:].prod(1) + truth[:, 2:].prod(1) - inner)


def score(found: Mapping[str, NDArray[np.float64]], sequences: list[RealSequence]) -> dict[str, float]:
    """Mean overlap of each sequence after its first frame."""
    return {each.name: float(np.nanmean(overlaps(found[each.name], each.truth)[1:])) for each in sequences}


def track_all(tracker: Tracker, sequences: list[RealSequence]) -> dict[str, NDArray[np.float64]]:
    """Boxes `[T, 4]` of each sequence, all in one batch."""
    runs = {each.name: (each.frames(), each) for each in sequences}
    states = {name: tracker.start(next(frames), each.truth[0]) for name, (frames, each) in runs.items()}
    boxes = {name: [each.truth[0]] for name, (_, each) in runs.items()}
    while pictures := {name: picture for name in states if (picture := next(runs[name][0], None)) is not None}:
        done = tracker.step_many([states[name] for name in pictures], list(pictures.values()))
        states = {name: state for name, (state, _) in zip(pictures, done, strict=True)}
        for name, (_, prediction) in zip(pictures, done, strict=True):
            boxes[name].append(np.array(prediction.box))
    return {name: np.array(rows) for name, rows in boxes.items()}


def measure(package: Path, options: Mapping[str, Any], sequences: list[RealSequence]) -> dict[str, float]:
    """Mean overlap of each sequence with a package's tracker, some fields of its `TrackingConfig` changed."""
    net, recipe = load_package(package)
    return score(track_all(Tracker(net, tracking_config(recipe.tracking_as_trained, options)), sequences), sequences)


def folder_frames(folder: Path) -> Iterator[NDArray[np.uint8]]:
    """Pictures of a folder in the order of their names."""
    for path in sorted(folder.glob("*.jpg")):
        picture = cv2.imread(str(path))
        assert picture is not None, path
        yield np.ascontiguousarray(picture[..., ::-1], np.uint8)


def video_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Frames of a video."""
    video = cv2.VideoCapture(str(path))
    while True:
        there, picture = video.read()
        if not there:
            return
        yield np.ascontiguousarray(picture[..., ::-1], np.uint8)


def _with_text(path: Path) -> RealSequence:
    folder = path.parent
    rows = [[float(word) for word in re.split(r"[,\s]+", line.strip())] for line in path.read_text().splitlines()]
    truth = np.array(rows)
    if truth.shape[1] == 8:  # VOT's polygons
        corners = truth.reshape(-1, 4, 2)
        truth = np.concatenate((corners.min(1), corners.max(1) - corners.min(1)), axis=1)
    elif path.name == "gt.txt":  # TLD's corners
        truth = np.concatenate((truth[:, :2], truth[:, 2:] - truth[:, :2]), axis=1)
    elif path.name == "groundtruth_rect.txt" or folder.parent.name == "uav123":  # 1-based
        truth[:, :2] -= 1
    pictures = next((folder / name for name in ("img", "color") if (folder / name).is_dir()), None)
    source = pictures or next(folder.glob("*.mpg"))
    count = len(list(source.glob("*.jpg"))) if source.is_dir() else len(truth)
    return RealSequence(folder.name, source, truth[: min(count, len(truth))])


def _boxes_of_masks(folder: Path) -> NDArray[np.float64]:
    boxes: list[list[float]] = []
    for path in sorted(folder.glob("*.png")):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert mask is not None, path
        y, x = np.nonzero(mask if mask.ndim == 2 else mask.any(-1))
        extent = (x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1) if len(x) else (np.nan,) * 4
        boxes.append([float(value) for value in extent])
    return np.array(boxes, float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--root", type=Path, action="append", default=[])
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--each", action="store_true", help="also print every sequence")
    parser.add_argument("--into", type=Path, help="file that scores are added to, under --name")
    parser.add_argument("--name", default="model")
    args = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    sequences = real_sequences(tuple(args.root) or ROOTS, args.frames)
    options = {name: json.loads(value) for name, value in (item.split("=", 1) for item in args.set)}
    scores = measure(resolve_model(args.model), options, sequences)
    if args.into:
        known = json.loads(args.into.read_text()) if args.into.exists() else {}
        args.into.write_text(json.dumps({**known, args.name: scores}, indent=1))
    if args.each:
        print(json.dumps({name: round(value, 3) for name, value in scores.items()}))
    mean = np.mean(list(scores.values()))
    print(f"{mean:.4f} over {len(scores)} sequences, {time.perf_counter() - began:.0f} s, {' '.join(args.set)}")


if __name__ == "__main__":
    main()
