"""Do one training run: in this process, or as a Ray Train job with one process per worker."""

import json
from collections.abc import Callable

import torch

from pipelines import storage
from pipelines.training.job import TrainJob
from pipelines.training.loop import initial_net, train_rank
from pipelines.training.metrics import read_metrics
from pipelines.training.options import ends
from pipelines.training.packages import put_package
from pipelines.training.preflight import require_memory
from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.template_use import unused

Progress = Callable[[dict[str, float]], None]
"""Called with each new row of metrics; `step` is in it."""


def fit(job: TrainJob, cluster: str, progress: Progress | None) -> None:
    """Train from the newest checkpoint on, and leave the packages `untrained` and `package` in the run's folder.

    Args:
        job: what to train.
        cluster: the Ray cluster that workers run on, as `pipelines.cluster.joined` takes it.
        progress: called with each new row of metrics.

    Raises SSTrackError if it fails.
    """
    net, weights = initial_net(job.recipe)
    if weights is not None:
        note = json.dumps(weights.as_dict(), indent=1).encode()
        storage.write_atomic(storage.join(job.folder, "initial_weights.json"), note)
    put_package(storage.join(job.folder, "untrained"), net, job.recipe, _facts(job, 0))
    if ends(job.workers)[1] > 0:
        # Only here: a training in this process needs no Ray.
        from pipelines.training.ray_train import train_on_ray

        train_on_ray(job, cluster, progress)
        return

    def report(step: int, row: dict[str, float]) -> None:
        if progress is not None:
            progress({"step": float(step), **row})

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    require_memory(job.recipe, device, 1)
    with storage.explained(job.folder):
        finish(job, *train_rank(job, 0, 1, device, report))


def finish(job: TrainJob, net: TrackerNet, step: int) -> None:
    """Leave the network, of the weights after `step` steps, as the run's package."""
    put_package(
        storage.join(job.folder, "package"), net, job.recipe, {**_facts(job, step), **template_facts(job.folder)}
    )


def template_facts(folder: str) -> dict[str, object]:
    """What a run says about the use of its template: `template_lead` on real frames at its end where it was measured,
    and a `warning` where that says that the network does not look."""
    measured = [row["real_lead"] for row in read_metrics(folder) if "real_lead" in row]
    if not measured:
        return {}
    warning = unused(measured[-1])
    return {"template_lead": measured[-1], **({"warning": warning} if warning else {})}


def _facts(job: TrainJob, step: int) -> dict[str, object]:
    return {
        "run_key": job.run_key,
        "manifest": job.identity.data_digest,
        "datasets": [{"manifest": each.manifest, "weight": each.weight} for each in job.datasets],
        "step": step,
    }
