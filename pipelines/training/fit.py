"""Do one training run: in this process, or as a Ray Train job with one process per worker."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from pipelines import storage
from pipelines.cluster import joined
from pipelines.errors import SSTrackError
from pipelines.training.loop import TrainJob, initial_net, train_rank
from pipelines.training.metrics import read_metrics
from sstrack.models.package import save_package
from sstrack.recipes import Recipe, as_dict, from_dict

_COLLECTIVE_TIMEOUT_S = 600
_RAY_TRAIN_ENVIRONMENT = {
    # Without a limit a rank that waits for a lost one waits for ever.
    "RAY_TRAIN_COLLECTIVE_TIMEOUT_S": str(_COLLECTIVE_TIMEOUT_S),
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "120",
    # The default of 2 s costs a short run several seconds at each phase.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
}

Progress = Callable[[dict[str, float]], None]


def fit(
    dataset: str,
    manifest: str,
    recipe: Recipe,
    folder: Path,
    key: str,
    workers: int,
    cluster: str,
    progress: Progress | None,
) -> None:
    """Train from the newest checkpoint in `folder` on, and leave the packages `untrained` and `package` in it.

    Raises SSTrackError if training fails.
    """
    job = TrainJob(dataset=dataset, manifest=manifest, recipe=recipe, folder=str(folder), run_key=key)
    with storage.explained(folder):
        facts = {"run_key": key, "manifest": manifest, "step": 0}
        net, weights = initial_net(recipe)
        if weights is not None:
            storage.write_atomic(str(folder / "initial_weights.json"), json.dumps(weights.as_dict(), indent=1).encode())
        save_package(folder / "untrained", net, recipe, facts)
    if workers == 0:
        _train_here(job, progress)
    else:
        _train_on_ray(job, workers, cluster, progress)


def _finish(job: TrainJob, net: torch.nn.Module) -> None:
    facts = {"run_key": job.run_key, "manifest": job.manifest, "step": job.recipe.optim.steps}
    save_package(Path(job.folder) / "package", net, job.recipe, facts)


def _train_here(job: TrainJob, progress: Progress | None) -> None:
    def report(step: int, row: dict[str, float]) -> None:
        if progress is not None:
            progress({"step": float(step), **row})

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with storage.explained(job.folder):
        _finish(job, train_rank(job, 0, 1, device, report))


def _train_on_ray(job: TrainJob, workers: int, cluster: str, progress: Progress | None) -> None:
    for name, value in _RAY_TRAIN_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    use_gpu = torch.cuda.is_available()
    with joined(cluster, workers), _following(job, progress):
        trainer = TorchTrainer(
            _ray_worker,
            train_loop_config={**asdict(job), "recipe": as_dict(job.recipe)},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=use_gpu),
            torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo", timeout_s=_COLLECTIVE_TIMEOUT_S),
            run_config=RunConfig(
                name=Path(job.folder).name,
                storage_path=str(Path(job.folder) / "ray"),
                failure_config=FailureConfig(max_failures=1, controller_failure_limit=1),
            ),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise SSTrackError(
                f"training {Path(job.folder).name} failed: {_first_cause(error)}; its checkpoints are kept in "
                f"{job.folder}, run the same command again to go on from them"
            ) from error
    shutil.rmtree(Path(job.folder) / "ray", ignore_errors=True)


def _ray_worker(config: dict[str, Any]) -> None:
    """One rank of a Ray Train job."""
    import ray.train
    import ray.train.torch

    job = TrainJob(**{**config, "recipe": from_dict(config["recipe"])})
    context = ray.train.get_context()

    def report(step: int, row: dict[str, float]) -> None:
        ray.train.report({"step": step, **row})

    device = ray.train.torch.get_device()
    assert isinstance(device, torch.device)
    with storage.explained(job.folder):
        net = train_rank(job, context.get_world_rank(), context.get_world_size(), device, report)
        if context.get_world_rank() == 0:
            _finish(job, net)


@contextmanager
def _following(job: TrainJob, progress: Progress | None) -> Iterator[None]:
    """Hand each new row of the run's metrics to `progress` while the block runs; workers are other processes."""
    ended = threading.Event()
    seen = len(read_metrics(Path(job.folder)))

    def follow() -> None:
        nonlocal seen
        while not ended.wait(0.5):
            rows = read_metrics(Path(job.folder))
            for row in rows[seen:]:
                assert progress is not None
                progress(row)
            seen = len(rows)

    thread = threading.Thread(target=follow, name="metrics", daemon=True) if progress is not None else None
    if thread is not None:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread is not None:
            thread.join()


def _first_cause(error: BaseException) -> str:
    """What the worker said, without the stack of wrappers around it."""
    failures = getattr(error, "worker_failures", None) or {}
    for failure in failures.values():
        cause = getattr(failure, "cause", None) or failure
        return f"{type(cause).__name__}: {cause}".splitlines()[0]
    return str(error).splitlines()[0]
