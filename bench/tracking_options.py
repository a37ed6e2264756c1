"""What each tracking option brings and costs: AO, AUC and CPU time per frame with and without it.

    python bench/tracking_options.py --model demo-work/runs/<run key>/package --root demo-work/held-out

Needs a trained model, and roots of labelled sequences in the layout of benchmark `folder`. Beside these it renders
`leaves and returns`: a target that leaves the frame for 15 frames and comes back elsewhere, with exact ground truth,
from the photographs of the extra `demo`. There `back` is the share of frames after the return whose IoU is above 0.5.
The last table says how well a score below a threshold means that the target is not there.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.demo_inputs import HELD_OUT_PHOTOS, photos
from pipelines.evaluation.run import How, evaluate
from pipelines.frames import read_clip
from pipelines.registry.models import resolve_model
from sstrack.models.package import load_package
from sstrack.tracking.tracker import Tracker

OPTIONS: dict[str, dict[str, Any]] = {
    "as published": {},
    "remember_above=0.3": {"remember_above": 0.3},
    "remember_above=0.5": {"remember_above": 0.5},
    "smooth_size=0.3": {"smooth_size": 0.3},
    "smooth_size=0.6": {"smooth_size": 0.6},
    "redetect_below=0.2, after 5": {"redetect_below": 0.2, "redetect_after": 5},
    "redetect_below=0.3, after 3": {"redetect_below": 0.3, "redetect_after": 3},
    "remember 0.3, redetect 0.3 after 3": {"remember_above": 0.3, "redetect_below": 0.3, "redetect_after": 3},
}
SIZE = (320, 240)
GONE = range(20, 35)
LENGTH = 60


def leaves_and_returns(root: Path, count: int) -> None:
    """Write `count` sequences: a cut-out of one photograph over another one, gone in frames `GONE`."""
    pictures = photos(HELD_OUT_PHOTOS)
    for number in range(count):
        rng = np.random.default_rng(number)
        ground, other = (pictures[place] for place in rng.permutation(len(pictures))[:2])
        ground = cv2.resize(ground, SIZE)
        side = int(rng.integers(44, 64))
        corner = [int(rng.integers(0, extent - 2 * side)) for extent in other.shape[1::-1]]
        patch = cv2.resize(other[corner[1] : corner[1] + 2 * side, corner[0] : corner[0] + 2 * side], (side, side))
        mask = cv2.ellipse(np.zeros((side, side), np.uint8), ((side / 2, side / 2), (side, side * 0.9), 0), 255, -1) > 0
        x = np.concatenate([np.linspace(60, -side, GONE.start + 4), np.full(11, -side), np.linspace(260, 130, 25)])
        y = np.concatenate([np.full(35, rng.integers(20, 160)), np.full(25, rng.integers(20, 160))])
        folder = root / f"return_{number:02d}"
        folder.mkdir(parents=True)
        lines: list[str] = []
        for index in range(LENGTH):
            frame, left, top = ground.copy(), round(float(x[index])), int(y[index])
            a, b = max(left, 0), min(left + side, SIZE[0])
            if index not in GONE and b > a:
                seen = slice(a - left, b - left)
                frame[top : top + side, a:b][mask[:, seen]] = patch[:, seen][mask[:, seen]]
                lines.append(f"{a},{top},{b - a},{side}\n")
            else:
                lines.append("nan,nan,nan,nan\n")
            cv2.imwrite(str(folder / f"{index:04d}.png"), frame[..., ::-1])
        (folder / "groundtruth.txt").write_text("".join(lines))


def truth_of(folder: Path) -> NDArray[np.float64]:
    """`[T, 4]`, NaN where the target is gone."""
    return np.loadtxt(folder / "groundtruth.txt", delimiter=",")


def overlaps(found: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU `[T]`, NaN where there is no truth."""
    low = np.maximum(found[:, :2], truth[:, :2])
    high = np.minimum(found[:, :2] + found[:, 2:], truth[:, :2] + truth[:, 2:])
    inner = np.clip(high - low, 0, None).prod(1)
    return inner / (found[:, 2:].prod(1) + truth[:, 2:].prod(1) - inner)


def back_again(results: Path, root: Path) -> float:
    """Percent of frames after the return with an IoU above 0.5."""
    shares: list[float] = []
    for folder in sorted(root.iterdir()):
        found = np.loadtxt(results / f"{folder.name}.txt", delimiter=",")
        shares.append(float((overlaps(found, truth_of(folder))[GONE.stop :] > 0.5).mean()))
    return 100 * float(np.mean(shares))


def absence(model: str, root: Path) -> None:
    """Print what a threshold on the score says about absence, with re-detection off."""
    net, recipe = load_package(resolve_model(model))
    tracker = Tracker(net, replace(recipe.tracking_as_trained, redetect_below=0.0))
    gone: list[float] = []
    followed: list[float] = []
    for folder in sorted(root.iterdir()):
        truth = truth_of(folder)
        frames = list(read_clip(folder))
        state = tracker.start(frames[0], truth[0])
        for index in range(1, GONE.stop):
            state, prediction = tracker.step(state, frames[index])
            if np.isnan(truth[index, 0]):
                gone.append(prediction.score)
            elif overlaps(np.array([prediction.box]), truth[index : index + 1])[0] > 0.5:
                followed.append(prediction.score)
    print(f"\nscores: median {np.median(followed):.2f} on the target, {np.median(gone):.2f} while it is gone")
    print("absent_below  gone, said so  there, said gone")
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5):
        hit, false = (100 * float((np.array(scores) < threshold).mean()) for scores in (gone, followed))
        print(f"{threshold:12}{hit:13.0f} %{false:15.0f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a package folder or models:/…")
    parser.add_argument("--root", action="append", default=[], help="labelled sequences; may be given again")
    parser.add_argument("--scenes", type=int, default=8, help="rendered sequences in which the target leaves")
    args = parser.parse_args()
    if args.model is None:
        print("the options need a trained model: `make demo`, then --model demo-work/runs/<run key>/package")
        return
    with tempfile.TemporaryDirectory() as scratch:
        lost = Path(scratch) / "leaves and returns"
        leaves_and_returns(lost, args.scenes)
        roots = [*map(Path, args.root), lost]
        print("AO / AUC in percent, CPU milliseconds per frame, reading included")
        print(f"{'':36}" + "".join(f"{root.name:>26}" for root in roots) + f"{'back':>8}")
        for name, options in OPTIONS.items():
            cells: list[str] = []
            back = 0.0
            for root in roots:
                began = time.process_time()
                how = How(tracking=options, device="cpu", batch=4)
                done = evaluate(args.model, "folder", str(root), f"{scratch}/out", how)
                cost = 1e3 * (time.process_time() - began) / done.frames
                cells.append(f"{done.metrics['AO']:.1f} / {done.metrics['AUC']:.1f}, {cost:.1f} ms")
                if root == lost:
                    back = back_again(Path(done.results), lost)
            print(f"{name:36}" + "".join(f"{cell:>26}" for cell in cells) + f"{back:7.0f} %", flush=True)
        absence(args.model, lost)


if __name__ == "__main__":
    main()
