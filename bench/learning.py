"""Which objective teaches a small network to track real things from clips without labels, in equal time?

    python bench/learning.py --size smoke|cpu|gpu [--only matching decoupled ...] [--minutes 20] [--seeds 1]
                             [--unlabeled DIR] [--root DIR ...] [--contrib DIR] [--work DIR]

Ingests the unlabeled clips, trains the network of `small` with each objective for the same time, and prints the mean
overlap on real sequences (see `real_sequences.py`) beside that of the untrained start, of its frozen features matched
without training, of a box that never moves, and of OpenCV's trackers. `supervised` trains on the very sequences that
are scored, as an upper bound; its clips are never mixed into the others. KCF, MIL and CSRT are scored on the same
frames by the same rule; the first and the last need an OpenCV with contrib modules, which is fetched into the work
folder with pip, beside the installed one, unless `--contrib` names a folder that holds it.

Steps follow from a short measurement, so that every schedule ends. What is done is found again: run it again with more
seeds or objectives to extend a table. `smoke` shows in two minutes that all parts work and says nothing about learning.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.frozen_features import track_frozen
from bench.real_sequences import ROOTS, SHARED, RealSequence, measure, real_sequences, score
from pipelines import storage
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.modes import open_loader
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from pipelines.training.initial_net import initial_net
from pipelines.training.launch import train
from pipelines.training.metrics import read_metrics
from pipelines.training.optimizer import build_optimizer
from pipelines.trainings.find import open_datasets, resolve_recipe
from sstrack.configs.recipe import Recipe
from sstrack.models.backbone import spell_out_attention
from sstrack.objectives.registry import build_objective
from sstrack.objectives.step import TrainStep

_DECOUPLED = {
    "objective.name": "decoupled",
    "objective.carry_query": False,
    "objective.random_seeds": 0.5,
    "objective.view_distractors": 3,
    "objective.memory_agrees": 0.4,
    "objective.forward_factor": 8.0,
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "matching": {},
    "matching, then decoupled": {**_DECOUPLED, "objective.name": "matching", "objective.then": "decoupled"},
    "decoupled": _DECOUPLED,
    "decoupled, no contrast": {**_DECOUPLED, "objective.contrastive_weight": 0.0},
    "decoupled as published": {"objective.name": "decoupled", "objective.known_templates_until": 0.0},
    "cycle": {"objective.name": "cycle", "objective.carry_query": False},
    "single_frame": {"objective.name": "single_frame"},
    "tads": {"objective.name": "tads", "objective.carry_query": False},
    "supervised": {"objective.name": "supervised", "objective.carry_query": False},
}
"""What each row of the table changes in the recipe `small`."""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    minutes: float
    """For each training."""
    frames: int
    sequences: int
    videos: int
    workers: int
    overrides: dict[str, Any]


SIZES = {
    "smoke": Size(0.1, 8, 3, 12, 0, {"net.depth": 2, "data.group_size": 4, "data.groups": 1}),
    "cpu": Size(20, 150, 32, 1000, 2, {}),
    "gpu": Size(1, 150, 32, 1000, 0, {"data.group_size": 32, "data.groups": 2, "optim.lr": 1e-3}),
}


def unlabeled_dataset(videos: Path, size: Size, work: Path) -> str:
    """Find or make the dataset of the clips without labels."""
    dataset = work / "unlabeled"
    if not (dataset / "HEAD").exists():
        files = sorted(path for path in videos.iterdir() if path.suffix in (".mp4", ".avi", ".mpg", ".webm"))
        ingest([str(path) for path in files[: size.videos]], str(dataset), IngestConfig())
    return str(dataset)


def labelled_dataset(sequences: list[RealSequence], work: Path) -> str:
    """Find or make the dataset of the scored sequences with their labels, in GOT-10k's layout on the way."""
    dataset = work / "labelled"
    if not (dataset / "HEAD").exists():
        with tempfile.TemporaryDirectory() as scratch:
            for number, sequence in enumerate(sequences):
                folder = Path(scratch) / f"GOT-10k_Train_{number:06d}"
                folder.mkdir()
                for index, frame in enumerate(sequence.frames()):
                    (folder / f"{index + 1:08d}.jpg").write_bytes(simplejpeg.encode_jpeg(frame, quality=92))
                absent = np.isnan(sequence.truth[:, 0])
                boxes = np.where(absent[:, None], 0.0, sequence.truth)
                np.savetxt(folder / "groundtruth.txt", boxes, fmt="%.2f", delimiter=",")
                np.savetxt(folder / "absence.label", absent.astype(int), fmt="%d")
            ingest([scratch], str(dataset), IngestConfig())
    return str(dataset)


def seconds_a_step(recipe: Recipe, data: list[Dataset], workers: int) -> float:
    """Of one process that does its share of the groups: the third and fourth step, late in the training."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = initial_net(recipe)[0].to(device)
    if device.type == "cpu":
        torch.set_num_threads(1)
        spell_out_attention(net.backbone)
    module = TrainStep(net, build_objective(recipe.net, recipe.objective), recipe.optim.precision).train()
    optimizer = build_optimizer(net, recipe.optim, recipe.data.group_size)
    loader = open_loader(data, recipe.data, recipe.seed)
    groups = -(-recipe.data.groups // max(workers, 1))
    began = 0.0
    for step, batch in enumerate(loader.groups([(step, group) for step in range(4) for group in range(groups)])):
        if step == 2 * groups:
            began = time.perf_counter()
        loss, _ = module(batch.to(device), torch.Generator(device).manual_seed(step), 0.9)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        float(loss.detach())
    loader.close()
    return (time.perf_counter() - began) / 2


def trained(name: str, seed: int, minutes: float, size: Size, data: str, work: Path) -> tuple[Path, int, float]:
    """The package of one training, its steps, and the lead of the right template at its end."""
    plan = work / f"steps {name} {minutes:g}.json"
    overrides = {**size.overrides, **OBJECTIVES[name], "seed": seed}
    datasets = open_datasets([data])
    if not plan.exists():
        each = seconds_a_step(resolve_recipe("small", overrides), datasets, size.workers)
        plan.write_text(json.dumps(max(2, int(minutes * 60 / each))))
    steps = json.loads(plan.read_text())
    overrides |= {"optim.steps": steps, "optim.warmup": min(100, steps // 10 + 1)}
    done = train(datasets, resolve_recipe("small", overrides), str(work / "runs"), workers=size.workers)
    rows = [row for row in read_metrics(str(Path(done.package).parent)) if "real_lead" in row]
    return Path(done.package), steps, rows[-1]["real_lead"]


def untrained(size: Size, work: Path) -> Path:
    """The package of the network before its first step."""
    from sstrack.models.package import save_package

    recipe = resolve_recipe("small", size.overrides)
    return save_package(work / "untrained", initial_net(recipe)[0], recipe, {"step": 0})


def track_opencv(create: Callable[[], Any], sequence: RealSequence) -> NDArray[np.float64]:
    """Boxes `[T, 4]` of one of OpenCV's trackers; a lost target keeps its last box."""
    frames = sequence.frames()
    tracker, box = create(), sequence.truth[0]
    tracker.init(np.ascontiguousarray(next(frames)[..., ::-1]), tuple(round(float(value)) for value in box))
    boxes = [box]
    for frame in frames:
        found, at = tracker.update(np.ascontiguousarray(frame[..., ::-1]))
        boxes.append(np.array(at, float) if found else boxes[-1])
    return np.array(boxes)


def contrib_folder(work: Path) -> Path:
    """Find or fetch an OpenCV with contrib modules. CalledProcessError, with pip's words on the terminal, where it
    cannot be had."""
    folder = work / "contrib"
    if not folder.is_dir():
        with storage.new_folder(folder, "keep") as draft:
            what = ["--no-deps", "opencv-contrib-python-headless"]
            subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(draft), *what], check=True
            )
    return folder


def opencv_scores(sequences: list[RealSequence]) -> dict[str, dict[str, float]]:
    """Overlap by sequence of each of OpenCV's trackers. AttributeError where this OpenCV lacks one."""
    rows: dict[str, dict[str, float]] = {}
    for name in ("KCF", "MIL", "CSRT"):
        create = getattr(cv2, f"Tracker{name}_create")
        found = {each.name: track_opencv(create, each) for each in sequences}
        rows[f"OpenCV {name}"] = score(found, sequences)
    return rows


def mean(scores: dict[str, float]) -> float:
    return float(np.mean(list(scores.values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="smoke")
    parser.add_argument("--only", nargs="*", default=None, help=f"of {', '.join(OBJECTIVES)}; none for the baselines")
    parser.add_argument("--minutes", type=float, help="of each training")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--unlabeled", type=Path, default=SHARED / "unlabeled")
    parser.add_argument("--root", type=Path, action="append", default=[])
    parser.add_argument("--contrib", type=Path, help="folder with an OpenCV that has KCF and CSRT")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only-opencv", action="store_true", help="print one JSON object of OpenCV's trackers")
    args = parser.parse_args()
    size = SIZES[args.size]
    sequences = real_sequences(tuple(args.root) or ROOTS, size.frames)[: size.sequences]
    if args.only_opencv:
        print(json.dumps(opencv_scores(sequences)))
        return
    logging.disable(logging.INFO)
    work = args.work or Path(tempfile.gettempdir()) / f"sstrack-learning-{args.size}"
    work.mkdir(parents=True, exist_ok=True)
    minutes = args.minutes or size.minutes
    names = (
        args.only if args.only is not None else (list(OBJECTIVES) if args.size != "smoke" else ["matching", "cycle"])
    )
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"
    print(f"{len(sequences)} sequences of at most {size.frames} frames; {minutes:g} minutes a training on {where}")
    print(f"{'':28}{'overlap':>8}{'lead':>8}{'steps':>8}{'seed':>6}")

    def row(name: str, overlap: float, lead: float | None = None, steps: int | None = None, seed: int = 0) -> None:
        cells = f"{lead:8.2f}{steps:8}{seed:6}" if lead is not None else ""
        print(f"{name:28}{overlap:8.3f}{cells}", flush=True)

    still = {each.name: np.tile(each.truth[0], (len(each.truth), 1)) for each in sequences}
    row("box that never moves", mean(score(still, sequences)))
    contrib = args.contrib or contrib_folder(work)
    environment = {**os.environ, "PYTHONPATH": str(contrib.absolute())}
    command = [sys.executable, __file__, *sys.argv[1:], "--only-opencv"]
    theirs = json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)
    for name, scores in theirs.items():
        row(name, mean(scores))
    start = untrained(size, work)
    row("untrained start", mean(measure(start, {}, sequences)))
    whole = resolve_recipe("small", {**size.overrides, "net.depth": 12 if args.size != "smoke" else 2})
    frozen = initial_net(replace(whole, net=replace(whole.net, mark_target=False)))[0].eval()
    row(
        "frozen features matched", mean(score({each.name: track_frozen(frozen, each) for each in sequences}, sequences))
    )
    for name in names:
        overlaps: list[float] = []
        for seed in range(1, args.seeds + 1):
            is_bound = name == "supervised"
            data = labelled_dataset(sequences, work) if is_bound else unlabeled_dataset(args.unlabeled, size, work)
            package, steps, lead = trained(name, seed, minutes, size, data, work)
            overlaps.append(mean(measure(package, {}, sequences)))
            row(name, overlaps[-1], lead, steps, seed)
        if len(overlaps) > 1:
            print(
                f"{'':28}{np.mean(overlaps):8.3f} ± {np.std(overlaps, ddof=1):.3f} over {len(overlaps)} seeds",
                flush=True,
            )


if __name__ == "__main__":
    main()
