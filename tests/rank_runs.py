"""Trainings with 1, 2, … processes from one already loaded interpreter, each left in its folder.

    python -m tests.rank_runs DATASET RECIPE_JSON RUN_JSON...

A run is {"folder", "world", "options", "signal"}; with "signal": [rank, step, number] that rank sends itself the signal
when it reports that step. What each rank said is in `rank<r>.txt`. Runs of one folder go on from each other.

Forking saves each rank the import of torch; nothing has computed yet when it forks, so no thread is lost by it.
"""

import json
import os
import signal
import sys
import traceback
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from pipelines.training.loop import train_rank
from pipelines.training.options import TrainOptions
from pipelines.training.packages import keep_package
from pipelines.training.spec import TrainingSpec
from pipelines.trainings.find import open_datasets
from sstrack.configs.recipe import Recipe, from_dict


def train_as(rank: int, world: int, spec: TrainingSpec, fate: list[int] | None, meet: Path) -> None:
    """One rank of one run."""
    if world > 1:
        patience = timedelta(seconds=spec.options.timeout_s)
        dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=world, timeout=patience)

    def report(step: int, row: dict[str, float]) -> None:
        if fate is not None and fate[:2] == [rank, step]:
            os.kill(os.getpid(), fate[2])

    net, step = train_rank(spec, rank, world, torch.device("cpu"), report)
    if rank == 0:
        keep_package(spec, "package", net, step)
    if world > 1:
        dist.destroy_process_group()


def run(dataset: str, recipe: Recipe, asked: dict[str, Any], number: int) -> None:
    folder = Path(asked["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    data = [replace(each, held_out=recipe.validation.share) for each in open_datasets([dataset])]
    spec = TrainingSpec(tuple(data), recipe, str(folder), "ranks", options=TrainOptions(**asked.get("options", {})))
    ranks: dict[int, int] = {}
    for rank in range(asked["world"]):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                train_as(rank, asked["world"], spec, asked.get("signal"), folder / f"meet{number}")
                code = 0
            except Exception:  # noqa: BLE001  (whatever it is, it is what the test reads)
                (folder / f"rank{rank}.txt").write_text(traceback.format_exc())
            finally:
                os._exit(code)
        ranks[pid] = rank
    fate = asked.get("signal")
    failed = []
    while ranks:
        pid, status = os.wait()
        rank = ranks.pop(pid)
        failed += [rank] if status else []
        if fate and len(ranks) == 1 and fate[2] == signal.SIGSTOP:
            os.kill(next(iter(ranks)), signal.SIGKILL)  # the frozen one; it would wait for ever
    if failed and not fate:
        sys.exit(f"{folder}: ranks {failed} failed: {(folder / f'rank{failed[0]}.txt').read_text()}")


def main(dataset: str, recipe_json: str, *runs: str) -> None:
    torch.set_num_threads(1)
    recipe = from_dict(json.loads(recipe_json))
    for number, each in enumerate(runs):
        run(dataset, recipe, json.loads(each), number)


if __name__ == "__main__":
    main(*sys.argv[1:])
