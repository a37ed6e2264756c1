"""Train one recipe with 1, 2, … processes from one already loaded interpreter, and leave each run in its folder.

    python -m tests.rank_runs DATASET OUT RECIPE_JSON OPTIONS_JSON WORLD...

Forking saves each rank the import of torch; nothing has computed yet when it forks, so no thread is lost by it.
"""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from pipelines.dataset.dataset import Dataset
from pipelines.dataset.manifest import load_manifest
from pipelines.training.job import TrainJob
from pipelines.training.loop import train_rank
from pipelines.training.options import TrainOptions
from sstrack.models.package import save_package
from sstrack.recipes import from_dict


def train_as(rank: int, world: int, job: TrainJob) -> None:
    """One rank of one run."""
    if world > 1:
        patience = timedelta(seconds=job.options.timeout_s)
        dist.init_process_group(
            "gloo", init_method=f"file://{job.folder}/meet", rank=rank, world_size=world, timeout=patience
        )
    net, _ = train_rank(job, rank, world, torch.device("cpu"), lambda step, row: None)
    if rank == 0:
        save_package(Path(job.folder) / "package", net, job.recipe, {})
    if world > 1:
        dist.destroy_process_group()


def main(dataset: str, out: str, recipe_json: str, options_json: str, *worlds: str) -> None:
    torch.set_num_threads(1)
    recipe = from_dict(json.loads(recipe_json))
    manifest = load_manifest(dataset).digest
    options = TrainOptions(**json.loads(options_json))
    for world in map(int, worlds):
        folder = Path(out) / f"world{world}"
        folder.mkdir(parents=True)
        job = TrainJob((Dataset(dataset, manifest),), recipe, str(folder), "ranks", options=options)
        ranks: list[int] = []
        for rank in range(world):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    train_as(rank, world, job)
                    code = 0
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            ranks.append(pid)
        failed = [pid for pid in ranks if os.waitpid(pid, 0)[1] != 0]
        if failed:
            sys.exit(f"{len(failed)} of {world} ranks failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
