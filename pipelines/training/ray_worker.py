"""What runs in Ray's other processes.

The controller needs no network of ours, whose import takes seconds: it is imported where the work is done.
"""

import json
from pathlib import Path
from typing import Any

from ray.train import UserCallback


def train_as_worker(config: dict[str, Any]) -> None:
    """One rank of a training; `config` is a `TrainingSpec` as a dictionary."""
    import ray.train
    import ray.train.torch
    import torch

    from pipelines import storage
    from pipelines.training.loop import train_rank
    from pipelines.training.packages import keep_package
    from pipelines.training.preflight import require_memory
    from pipelines.training.spec import TrainingSpec

    spec = TrainingSpec.from_dict(config)
    context = ray.train.get_context()

    def report(step: int, row: dict[str, float]) -> None:
        ray.train.report({"step": step, **row})

    device = ray.train.torch.get_device()
    assert isinstance(device, torch.device)
    require_memory(spec.recipe, device, context.get_local_world_size())
    with storage.explained(spec.folder):
        trained = train_rank(spec, context.get_world_rank(), context.get_world_size(), device, report)
        if context.get_world_rank() == 0:
            keep_package(spec, "package", *trained)


class Rows(UserCallback):
    """In the controller, on the driver's machine: keeps each row that all ranks have reported."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(metrics[0]) + "\n")
