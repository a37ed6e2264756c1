"""Flow `train-tracker`: one training per run key. A finished one is found, an interrupted one goes on."""

from typing import Any

from prefect import flow, task

from flows import artifacts
from flows.actor import run_tags
from flows.hooks import end_record, remember_job, remember_record, stop_submitted_job
from flows.logs import show_our_logs
from flows.parameters import AbsoluteUri, Cluster, Mixture, Overrides, RecipeName, TrainWorkers
from flows.training_progress import in_task
from pipelines.settings import settings
from pipelines.training.options import TrainOptions


@flow(
    name="train-tracker",
    validate_parameters=True,
    on_cancellation=[stop_submitted_job, end_record],
    on_crashed=[end_record],
)
def train_tracker(
    dataset: AbsoluteUri | None = None,
    recipe: RecipeName = "tiny_cpu",
    overrides: Overrides | None = None,
    manifest: str | None = None,
    runs: AbsoluteUri | None = None,
    workers: TrainWorkers | None = None,
    cluster: Cluster | None = None,
    options: TrainOptions | None = None,
    mixture: Mixture | None = None,
) -> dict[str, Any]:
    """Train `recipe` on a manifest of `dataset`, and record the training as the one MLflow run of its key.

    Args:
        dataset: the dataset's folder, default `SSTRACK_DATASET`.
        recipe: a recipe's name.
        overrides: fields of the recipe to replace, another run key therefore.
        manifest: the manifest's digest, default the dataset's newest.
        runs: where checkpoints and packages go, default `SSTRACK_RUNS`.
        workers: Ray Train workers, default `SSTRACK_WORKERS`, but at most one per group of the recipe.
        cluster: Ray to train on, default `SSTRACK_CLUSTER`.
        options: how it runs, what is kept.
        mixture: datasets with their weights, instead of one dataset.
    """
    show_our_logs()
    here = settings()
    return train_model(
        mixture or {dataset or here.dataset: 1.0},
        recipe,
        overrides or {},
        manifest,
        runs or here.runs,
        workers,
        cluster or here.cluster,
        options.model_dump() if options else {},
    )


@task(name="train", retries=0)
def train_model(
    datasets: dict[str, float],
    recipe: str,
    overrides: dict[str, Any],
    manifest: str | None,
    runs: str,
    workers: int | str | None,
    cluster: str,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Train or find, then record; the result as a dictionary with the MLflow run's id."""
    from pipelines.trainings.record import train_and_record

    uri = settings().mlflow_uri

    def opened(run_id: str, page: str | None) -> None:
        remember_record(run_id)
        artifacts.mlflow_run(uri, run_id, page)

    return train_and_record(
        uri,
        list(datasets),
        recipe,
        overrides,
        runs,
        manifest=manifest,
        weights=list(datasets.values()),
        workers=workers,
        options=options,
        cluster=cluster,
        progress=in_task(),
        tags=run_tags(),
        opened=opened,
        submits=remember_job,
    )
