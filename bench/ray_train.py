"""What Ray costs a training: the same steps in one process, and by one and two Ray Train workers, in one run.

    python bench/ray_train.py [DATASET] [--steps 60] [--group-size 2]

Without a dataset one is ingested from the shared real videos (SSTRACK_SHARED).
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

# One thread per process, so that one and two workers can be compared; read when torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"

from pipelines.training.launch import train
from pipelines.training.metrics import read_metrics
from pipelines.trainings.find import open_datasets
from sstrack.recipes import recipe


def real_dataset(folder: Path) -> str:
    from pipelines.ingest.config import IngestConfig
    from pipelines.ingest.run import ingest

    videos = Path(os.environ.get("SSTRACK_SHARED", "../shared")) / "data/videos"
    sources = [str(videos / name) for name in ("street_426x240.mp4", "people_768f.mp4", "02_cups.mp4")]
    ingest(sources, str(folder / "dataset"), IngestConfig(long_side=256, max_frames=30), workers=0)
    return str(folder / "dataset")


def main() -> None:
    asked = argparse.ArgumentParser(description="What Ray costs a training.")
    asked.add_argument("dataset", nargs="?")
    asked.add_argument("--steps", type=int, default=60)
    asked.add_argument("--group-size", type=int, default=2, help="samples in each of the two groups of a step")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        datasets = open_datasets([options.dataset or real_dataset(Path(scratch))])
        sizes = {"optim.steps": options.steps, "data.group_size": options.group_size, "checkpoint_every": 20}
        config = recipe("tiny_cpu", sizes)
        print(f"tiny_cpu, {options.steps} steps of {config.data.groups} groups of {config.data.group_size}, CPU")
        print(f"{'way':14} {'whole s':>8} {'steps/s':>8} {'of plain':>9} {'besides steps s':>16}")
        plain = 0.0
        for name, workers in (("plain loop", 0), ("Ray, 1 worker", 1), ("Ray, 2 workers", 2)):
            began = time.perf_counter()
            done = train(datasets, config, f"{scratch}/{workers}", workers=workers)
            whole = time.perf_counter() - began
            # The first row holds what happens once: the loader's start, memory that is asked for.
            rows = read_metrics(Path(done.package).parent)[1:]
            samples = config.data.groups * config.data.group_size
            rate = len(rows) / sum(1 / row["samples_per_s"] for row in rows) / samples
            plain = plain or rate
            print(f"{name:14} {whole:8.1f} {rate:8.2f} {rate / plain:9.2f} {whole - options.steps / rate:16.1f}")


if __name__ == "__main__":
    main()
