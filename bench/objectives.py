"""Which objective teaches the same network most from the same clips and steps? AO on held-out rendered scenes.

    python bench/objectives.py [--steps 160] [--groups 1] [--seeds 1] [--work DIR] [--set objective.field=value ...]

All objectives train `tiny_cpu` on the demo's training scenes, imported as labelled clips, so that all start from the
same true first boxes; only `supervised` sees the boxes of later frames. The held-out scenes show photographs that no
training scene shows. `swapped` is the same tracker with the template of another scene: what it scores owes nothing to
the template. One row per objective and seed; the last column relates AO to that of `supervised` with the same seed.
Results stay in --work: run again to add seeds or objectives to a table that is done.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import simplejpeg

from pipelines.demo_inputs import TRAINING_SCENES, prepare, training_scene
from pipelines.evaluation.run import How, evaluate
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from pipelines.training.launch import train
from pipelines.trainings.find import open_datasets
from sstrack.configs.names import OBJECTIVES
from sstrack.recipes import recipe


def write_labelled(root: Path) -> None:
    """The demo's training scenes as a labelled set in GOT-10k's layout."""
    for number in range(TRAINING_SCENES):
        scene = training_scene(number)
        folder = root / f"GOT-10k_Train_{number:06d}"
        folder.mkdir(parents=True)
        for index, frame in enumerate(scene.frames):
            (folder / f"{index + 1:08d}.jpg").write_bytes(simplejpeg.encode_jpeg(frame, quality=92))
        np.savetxt(folder / "groundtruth.txt", scene.boxes, fmt="%.2f", delimiter=",")
        np.savetxt(folder / "absence.label", np.zeros(len(scene.boxes), int), fmt="%d")


def labelled_dataset(work: Path) -> str:
    """Find or make the labelled dataset."""
    dataset = work / "dataset"
    if not (dataset / "HEAD").exists():
        with tempfile.TemporaryDirectory() as scratch:
            write_labelled(Path(scratch))
            ingest([scratch], str(dataset), IngestConfig(long_side=320, max_frames=60))
    return str(dataset)


def measure(name: str, seed: int, options: argparse.Namespace, dataset: str, held_out: str) -> tuple[float, float]:
    """AO in percent with the right and with foreign templates."""
    changes = dict(item.split("=", 1) for item in options.set)
    changes |= {"optim.steps": options.steps, "data.groups": options.groups, "seed": seed, "objective.name": name}
    done = train(open_datasets([dataset]), recipe("tiny_cpu", changes), str(options.work / "runs"))
    results = str(options.work / "results")
    right = evaluate(done.package, "folder", held_out, results)
    swapped = evaluate(done.package, "folder", held_out, results, How(tracking={"templates": "swapped"}))
    return right.metrics["AO"], swapped.metrics["AO"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=["supervised", *sorted(set(OBJECTIVES) - {"supervised"})])
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sstrack-objectives")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    held_out = str(prepare(options.work, rendered_videos=False, workers=2).eval_root)
    dataset = labelled_dataset(options.work)
    samples = recipe("tiny_cpu").data.group_size * options.groups
    print(f"{options.steps} steps of {samples} samples")
    print(f"{'objective':14} {'seed':>4} {'AO':>6} {'swapped':>8} {'seconds':>8} {'of supervised':>14}")
    for seed in range(1, options.seeds + 1):
        reference: float | None = None
        for name in options.only:
            started = time.perf_counter()
            right, swapped = measure(name, seed, options, dataset, held_out)
            reference = right if name == "supervised" else reference
            ratio = f"{right / reference:14.2f}" if reference else f"{'-':>14}"
            seconds = time.perf_counter() - started
            print(f"{name:14} {seed:4} {right:6.1f} {swapped:8.1f} {seconds:8.0f} {ratio}", flush=True)


if __name__ == "__main__":
    main()
