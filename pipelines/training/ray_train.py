"""One training on Ray Train: one process per worker, started again when some of them are lost."""

import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchConfig, TorchTrainer

from pipelines.cluster import joined, machines, processors
from pipelines.errors import SSTrackError
from pipelines.reach import require_reachable
from pipelines.settings import settings
from pipelines.training.metrics import OnRow
from pipelines.training.options import ends
from pipelines.training.preflight import require_memory
from pipelines.training.ray_worker import Rows, train_as_worker
from pipelines.training.spec import TrainingSpec

log = logging.getLogger(__name__)

_ROWS = "rows.jsonl"
_TELL_S = 30.0


def train_on_ray(spec: TrainingSpec, cluster: str, progress: OnRow | None) -> None:
    """Train with the workers that the training names. Raises SSTrackError if the cluster is too small for them, or if
    training fails more often than it may."""
    # Of the driver: the controller runs on its machine. Workers keep nothing in it, their state is in the run's folder.
    scratch = Path(tempfile.mkdtemp(prefix="sstrack-ray-"))
    _set_patience(spec.options.timeout_s)
    if cluster == "local" and not torch.cuda.is_available():
        require_memory(spec.recipe, torch.device("cpu"), ends(spec.workers)[0])
    least, most = ends(spec.workers)
    # A private cluster is this machine: more workers than it has cores would only take turns.
    cores = max(least, min(most, os.cpu_count() or 1))
    try:
        with joined(cluster, cpus=cores), _following(scratch / _ROWS, progress):
            wanted = torch.cuda.is_available() if cluster == "local" else settings().worker_gpu
            if cluster != "local":
                places = {"run": spec.folder, **{f"dataset {n}": each.uri for n, each in enumerate(spec.datasets, 1)}}
                require_reachable(places, machines())
            patience = settings().wait_s if spec.options.wait_s is None else spec.options.wait_s
            use_gpu = processors(least, wanted, patience)
            trainer = TorchTrainer(
                train_as_worker,
                train_loop_config=spec.as_dict(),
                scaling_config=ScalingConfig(
                    num_workers=most if least == most else (least, most),
                    use_gpu=use_gpu,
                ),
                torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo", timeout_s=spec.options.timeout_s),
                run_config=RunConfig(
                    name=spec.run_key,
                    storage_path=str(scratch),
                    callbacks=[Rows(scratch / _ROWS)],
                    failure_config=FailureConfig(
                        max_failures=spec.options.max_failures, controller_failure_limit=spec.options.max_failures
                    ),
                ),
            )
            log.info("starting %s worker processes; each loads torch and the data before its first step", spec.workers)
            try:
                trainer.fit()
            except TrainingFailedError as error:
                raise SSTrackError(
                    f"training {spec.run_key} failed: {_first_cause(error)}; its checkpoints are kept in "
                    f"{spec.folder}, run the same command again to go on from them"
                ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _set_patience(timeout_s: int) -> None:
    """Ray reads these in this process. Without a limit a rank that waits for a lost one waits for ever."""
    os.environ["RAY_TRAIN_COLLECTIVE_TIMEOUT_S"] = str(timeout_s + 30)
    os.environ["RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S"] = str(timeout_s)
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "120")
    # The default of 2 s costs a short run several seconds at each phase.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")


@contextmanager
def _following(path: Path, progress: OnRow | None) -> Iterator[None]:
    """Hand each new row of the controller to `progress` while the block runs, each step's once."""
    ended = threading.Event()
    position, reached = 0, 0.0

    def read() -> None:
        nonlocal position, reached
        if progress is None or not path.is_file():
            return
        with path.open() as file:
            file.seek(position)
            for line in iter(file.readline, ""):
                if not line.endswith("\n"):
                    break
                position += len(line)
                row = json.loads(line)
                if row["step"] > reached:  # steps are done again after a failure
                    reached = row["step"]
                    progress(row)

    def follow() -> None:
        began = told = time.monotonic()
        while not ended.wait(0.5):
            read()
            if not reached and time.monotonic() - told >= _TELL_S:
                told = time.monotonic()
                log.info(
                    "no metrics yet after %.0f s: workers are starting, load torch and data, or do their first steps",
                    told - began,
                )

    thread = threading.Thread(target=follow, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        read()


def _first_cause(error: BaseException) -> str:
    """What the worker said, without the stack of wrappers around it; one that names who is missing before one that
    only lost the others."""
    failures = getattr(error, "worker_failures", None) or {}
    causes = [getattr(failure, "cause", None) or failure for failure in failures.values()]
    if not causes:
        return str(error).splitlines()[0]
    cause = next((each for each in causes if isinstance(each, SSTrackError)), causes[0])
    text = str(cause).splitlines()[0]
    return text if isinstance(cause, SSTrackError) else f"{type(cause).__name__}: {text}"
