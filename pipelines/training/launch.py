"""Do one training run: in this process, or in Ray's, one for each worker.

The run's key is made of recipe and data, so asking again finds the finished run, and asking after a crash goes on from
the newest checkpoint.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from pipelines import storage
from pipelines.dataset.dataset import Dataset
from pipelines.locks import work_lock
from pipelines.training.begun import begin
from pipelines.training.initial_net import initial_net
from pipelines.training.loop import train_rank
from pipelines.training.metrics import OnRow, read_metrics
from pipelines.training.options import TrainOptions, ends
from pipelines.training.packages import keep_package
from pipelines.training.preflight import require_memory, require_workable
from pipelines.training.result import TrainResult, find_result, keep_result
from pipelines.training.spec import TrainingSpec, settle
from sstrack.configs.recipe import Recipe


def train(
    datasets: Sequence[Dataset],
    recipe: Recipe,
    out: str,
    *,
    workers: int | str = 0,
    options: TrainOptions | None = None,
    cluster: str = "local",
    progress: OnRow | None = None,
) -> TrainResult:
    """Find or do a training without a record of it: `settle` with these arguments, then `launch`."""
    spec = settle(datasets, recipe, out, workers, options)
    return find_result(spec.folder) or launch(spec, cluster, progress=progress)


def launch(
    spec: TrainingSpec,
    cluster: str = "local",
    *,
    begins: Callable[[], None] | None = None,
    progress: OnRow | None = None,
) -> TrainResult:
    """Train from the newest checkpoint on; leave the packages `untrained` and `package` and the result in the folder.

    Args:
        spec: what to train.
        cluster: the Ray cluster that workers run on: "local" for a private one, "auto" or "host:port" for one that is
            joined.
        begins: called when nothing stands against the training any more, before its first step.
        progress: called with each row of metrics.

    Raises SSTrackError for a missing dataset, too few clips, or a run that fails; UsageError for workers or options
    that do not fit the recipe. Both before anything starts, where it can be known.
    """
    require_workable(spec)
    with _alone(spec.folder):
        if begins is not None:
            begins()
        started = time.monotonic()
        begin(spec.folder, spec.datasets, by_shards=spec.recipe.data.reading == "streaming")
        _keep_untrained(spec)
        if ends(spec.workers)[1] > 0:
            # Only here: a training in this process needs no Ray.
            from pipelines.training.ray_train import train_on_ray

            train_on_ray(spec, cluster, progress)
        else:
            _train_here(spec, progress)
        return keep_result(spec, read_metrics(spec.folder), time.monotonic() - started)


def _keep_untrained(spec: TrainingSpec) -> None:
    net, weights = initial_net(spec.recipe)
    if weights is not None:
        note = json.dumps(weights.as_dict(), indent=1).encode()
        storage.write_atomic(storage.join(spec.folder, "initial_weights.json"), note)
    keep_package(spec, "untrained", net, 0)


def _train_here(spec: TrainingSpec, progress: OnRow | None) -> None:
    def report(step: int, row: dict[str, float]) -> None:
        if progress is not None:
            progress({"step": float(step), **row})

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    require_memory(spec.recipe, device, 1)
    with storage.explained(spec.folder):
        keep_package(spec, "package", *train_rank(spec, 0, 1, device, report))


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """One training at a time in a local folder. Two in the same folder of a store write the same bytes."""
    if not storage.is_local(folder):
        yield
        return
    with work_lock(storage.local_path(folder), "train"):
        yield
