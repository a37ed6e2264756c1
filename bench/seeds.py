"""Do seed boxes hold what people track? Recall of the best of the first 1, 3 and 5 seeds on real sequences.

    python bench/seeds.py [--root DIR ...] [--only motion saliency ...]

For each sequence (see `real_sequences.py`) seeds are found as ingest finds them, on its first four seconds at ten
frames a second, and compared with the true box of its first frame. A sequence marks one of many things that could be
tracked, so no finder can reach 1, and a low recall of the first seed is no fault by itself: what counts is the
difference to boxes that look at no picture, random ones and ones in the middle.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.real_sequences import ROOTS, RealSequence, overlaps, real_sequences
from pipelines.ingest.clip.seeding import motion_of, salient_of
from sstrack.clips.clip import SeedBox
from sstrack.clips.seeds import merged

Frames = list[NDArray[np.uint8]]
TOPS = (1, 3, 5)
_DRAWS = 200


def first_seconds(sequence: RealSequence, seconds: float = 4.0, rate: int = 3) -> Frames:
    """Every third frame `[H, W, 3]` of the first seconds, as videos of 30 frames a second are stored at ten."""
    return [frame for number, frame in enumerate(sequence.frames()) if number % rate == 0][: round(10 * seconds)]


def random_boxes(frames: Frames, rng: np.random.Generator) -> list[SeedBox]:
    """Five boxes of any size that a seed may have, anywhere."""
    height, width = frames[0].shape[:2]
    boxes: list[SeedBox] = []
    for _ in range(max(TOPS)):
        area = np.exp(rng.uniform(np.log(0.0015), np.log(0.35))) * width * height
        ratio = np.exp(rng.uniform(-0.7, 0.7))
        w, h = min(width, (area * ratio) ** 0.5), min(height, (area / ratio) ** 0.5)
        boxes.append(SeedBox((rng.uniform(0, width - w), rng.uniform(0, height - h), w, h), 1.0, "random"))
    return boxes


def centre_boxes(frames: Frames) -> list[SeedBox]:
    """Five boxes in the middle, each with seven tenths of the sides of the one before."""
    height, width = frames[0].shape[:2]
    sides = [0.3 * 0.7**step for step in range(max(TOPS))]
    return [
        SeedBox(((1 - side) / 2 * width, (1 - side) / 2 * height, side * width, side * height), 1.0, "centre")
        for side in sides
    ]


def best_overlaps(seeds: list[SeedBox], truth: NDArray[np.float64]) -> list[float]:
    """The largest IoU with the truth among the first 1, 3 and 5."""
    found = overlaps(np.array([seed.box for seed in seeds]).reshape(-1, 4), np.tile(truth, (len(seeds), 1)))
    return [max(found[:top].tolist(), default=0.0) for top in TOPS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, action="append", default=[])
    parser.add_argument("--only", nargs="*", default=None)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    finders: dict[str, Callable[[Frames], list[SeedBox]]] = {
        "centre": centre_boxes,
        "motion": motion_of,
        "saliency": salient_of,
        "both": lambda frames: merged(motion_of(frames), salient_of(frames)),
    }
    sequences = real_sequences(tuple(args.root) or ROOTS, 120)
    print(f"{len(sequences)} sequences\n{'':12}{'top 1':>8}{'top 3':>8}{'top 5':>8}{'seeds':>8}{'CPU s a clip':>14}")
    read = {sequence.name: first_seconds(sequence) for sequence in sequences}
    drawn = [
        [best_overlaps(random_boxes(read[each.name], rng), each.truth[0]) for each in sequences] for _ in range(_DRAWS)
    ]
    row("random", np.array(drawn).reshape(-1, len(TOPS)), max(TOPS), 0.0)
    for name, find in finders.items():
        if args.only is None or name in args.only:
            began = time.process_time()
            seeds = {each.name: find(read[each.name]) for each in sequences}
            spent = (time.process_time() - began) / len(sequences)
            found = np.array([best_overlaps(seeds[each.name], each.truth[0]) for each in sequences])
            row(name, found, float(np.mean([len(each) for each in seeds.values()])), spent)


def row(name: str, found: NDArray[np.float64], count: float, seconds: float) -> None:
    recall = "".join(f"{value:8.3f}" for value in (found >= 0.5).mean(0))
    print(f"{name:12}{recall}{count:8.1f}{seconds:14.2f}", flush=True)


if __name__ == "__main__":
    main()
