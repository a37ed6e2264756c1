"""Flow `ingest-videos`: videos become clips of a dataset. Run again on the same videos it does nothing."""

import logging
from typing import Any

from prefect import flow, task
from prefect.client.schemas import State
from prefect.states import Completed

from flows import artifacts, events
from flows.logs import show_our_logs
from flows.parameters import AbsoluteUri, Workers
from flows.progress import ProgressLines
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.sources import holds_videos
from pipelines.settings import settings

log = logging.getLogger(__name__)


@flow(name="ingest-videos", validate_parameters=True)
def ingest_videos(
    sources: list[AbsoluteUri] | None = None,
    dataset: AbsoluteUri | None = None,
    config: IngestConfig | None = None,
    workers: Workers | None = None,
) -> State[dict[str, Any]]:
    """Ingest `sources` (default: the inbox) into `dataset` and publish its new manifest.

    Args:
        sources: video files, folders, or s3:// prefixes. Without them `SSTRACK_INBOX` is ingested, and an empty or
            missing inbox completes with 'nothing new'.
        dataset: the dataset's folder, default `SSTRACK_DATASET`.
        config: how clips are cut and judged.
        workers: parallel sources, default `SSTRACK_WORKERS`.
    """
    show_our_logs()
    here = settings()
    given = sources if sources is not None else [here.inbox]
    target = dataset or here.dataset
    if sources is None and not holds_videos(here.inbox):
        log.info("nothing new: no video in the inbox %s", here.inbox)
        return Completed(message="nothing new: the inbox is empty", data={})
    report = ingest_sources(given, target, config or IngestConfig(), here.workers if workers is None else workers)
    artifacts.ingest_report(target, report)
    if not report["published"]:
        return Completed(message=f"nothing new: manifest {report['manifest'][:8]}", data=report)
    events.dataset_published(target, report["manifest"], report["clips"])
    return Completed(message=f"published manifest {report['manifest'][:8]}: {report['clips']} clips", data=report)


@task(name="ingest", retries=0)
def ingest_sources(sources: list[str], dataset: str, config: IngestConfig, workers: int) -> dict[str, Any]:
    """One batch of sources; the report as a dictionary."""
    from pipelines.ingest.run import ingest

    lines = ProgressLines("ingest", "sources")
    report = ingest(sources, dataset, config, workers=workers, progress=lambda at: lines.update(at.done, at.total))
    return report.as_dict()
