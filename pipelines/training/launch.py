"""Find or do one training run: in this process, or as a Ray Train job with one process per worker.

The run's key is made of recipe, dataset and configuration, so asking again returns the finished run, and asking after a
crash goes on from the newest checkpoint.
"""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pipelines import storage
from pipelines.cluster import local_cluster
from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.manifest import load_manifest
from pipelines.errors import SSTrackError, UsageError
from pipelines.locks import work_lock
from pipelines.training.loop import TrainJob, build_net, read_metrics, train_rank
from sstrack.models.package import save_package
from sstrack.recipes import Recipe, as_dict, config_digest, from_dict

log = logging.getLogger(__name__)

_COLLECTIVE_TIMEOUT_S = 600
_RAY_TRAIN_ENVIRONMENT = {
    # Without a limit a rank that waits for a lost one waits for ever.
    "RAY_TRAIN_COLLECTIVE_TIMEOUT_S": str(_COLLECTIVE_TIMEOUT_S),
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "120",
    # The default of 2 s costs a short run several seconds at each phase.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
}

Progress = Callable[[dict[str, float]], None]
"""Called with each new row of metrics; `step` is in it."""


@dataclass(frozen=True)
class TrainResult:
    """A finished run."""

    run_key: str
    recipe: str
    manifest: str
    package: str
    """Folder of the trained model package."""
    untrained: str
    """Folder of the package of the same network before its first step."""
    steps: int
    loss_start: float
    """Mean loss over the first row of metrics."""
    loss_end: float
    """Mean loss over the last row of metrics."""
    seconds: float
    """Time this run trained, over all its attempts' last one."""
    found: bool
    """Whether it was already done."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run_key(recipe: Recipe, manifest: str) -> str:
    """`{recipe}-{data8}-{config8}`: the one name of this training everywhere."""
    return f"{recipe.name}-{manifest[:8]}-{config_digest(recipe)[:8]}"


def train(
    dataset: str,
    recipe: Recipe,
    out: str,
    *,
    manifest: str | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> TrainResult:
    """Train `recipe` on a dataset and leave a model package, or find that this was done.

    Args:
        dataset: dataset folder.
        recipe: the whole configuration.
        out: folder of runs; this one goes into `<out>/<run key>`.
        manifest: digest to train on; None takes the newest.
        workers: Ray Train workers; 0 trains in this process without Ray, with the same result for the same recipe.
        progress: called with each row of metrics.

    Raises SSTrackError for a missing dataset, too few clips, or a run that fails; UsageError for more workers than
    groups, as each worker needs a group.
    """
    digest = load_manifest(dataset, manifest).digest
    if workers > recipe.data.groups:
        raise UsageError(
            f"{workers} workers for {recipe.data.groups} groups: each worker needs a group of its own, so use at most "
            f"--workers {recipe.data.groups}, or --set data.groups={workers}"
        )
    key = run_key(recipe, digest)
    folder = Path(out) / key
    result = folder / "result.json"
    if result.is_file():
        return TrainResult(**{**json.loads(result.read_text()), "found": True})
    ClipLoader(dataset, digest, recipe.data, recipe.seed)  # fails here, before any worker starts, if clips are too few
    with work_lock(folder, "train"):
        job = TrainJob(dataset=dataset, manifest=digest, recipe=recipe, folder=str(folder))
        facts = {"run_key": key, "manifest": digest}
        save_package(folder / "untrained", build_net(recipe), recipe, {**facts, "step": 0})
        started = time.monotonic()
        if workers == 0:
            _train_here(job, progress)
        else:
            _train_on_ray(job, workers, progress)
        rows = read_metrics(folder)
        done = TrainResult(
            run_key=key,
            recipe=recipe.name,
            manifest=digest,
            package=str(folder / "package"),
            untrained=str(folder / "untrained"),
            steps=recipe.optim.steps,
            loss_start=rows[0]["loss"],
            loss_end=rows[-1]["loss"],
            seconds=time.monotonic() - started,
            found=False,
        )
        # Last of all: its presence says that the run is whole.
        storage.write_atomic(str(result), json.dumps(done.as_dict(), indent=1).encode())
    return done


def _finish(job: TrainJob, net: torch.nn.Module) -> None:
    facts = {"run_key": run_key(job.recipe, job.manifest), "manifest": job.manifest, "step": job.recipe.optim.steps}
    save_package(Path(job.folder) / "package", net, job.recipe, facts)


def _train_here(job: TrainJob, progress: Progress | None) -> None:
    def report(step: int, row: dict[str, float]) -> None:
        if progress is not None:
            progress({"step": float(step), **row})

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _finish(job, train_rank(job, 0, 1, device, report))


def _train_on_ray(job: TrainJob, workers: int, progress: Progress | None) -> None:
    for name, value in _RAY_TRAIN_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    use_gpu = torch.cuda.is_available()
    with local_cluster(cpus=workers), _following(job, progress):
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
