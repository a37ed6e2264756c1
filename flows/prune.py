"""Flow `prune`: what no manifest of a dataset names is removed, or only told of, which is the default."""

from typing import Annotated, Any

from prefect import flow, task
from prefect.client.schemas import State
from prefect.states import Completed
from pydantic import Field

from flows.logs import show_our_logs
from flows.parameters import AbsoluteUri
from pipelines.settings import settings

Hours = Annotated[float, Field(ge=1, le=87_600)]
Keep = Annotated[int, Field(ge=1, le=100_000)]


@flow(name="prune", validate_parameters=True)
def prune(
    dataset: AbsoluteUri | None = None, hours: Hours = 168.0, keep: Keep | None = None, dry_run: bool = True
) -> State[dict[str, Any]]:
    """Remove leftovers of killed runs and, with `keep`, old manifests with what only they name.

    Args:
        dataset: the dataset's folder, default `SSTRACK_DATASET`.
        hours: what was written later than this many hours ago stays, as its writer may still be at work.
        keep: also drop all but this many of the newest manifests; trainings on those cannot be continued.
        dry_run: only say what would go.
    """
    show_our_logs()
    done = remove(dataset or settings().dataset, hours, keep, dry_run)
    verb = "would go" if dry_run else "removed"
    said = f"{done['files']} files, {done['bytes'] / 2**20:.1f} MiB, {done['manifests']} manifests {verb}"
    return Completed(message=said, data=done)


@task(name="remove", retries=0)
def remove(dataset: str, hours: float, keep: int | None, dry_run: bool) -> dict[str, Any]:
    """The report of `pipelines.dataset.prune` as a dictionary."""
    from pipelines.dataset.prune import prune as run

    return run(dataset, hours=hours, keep=keep, dry_run=dry_run).as_dict()
