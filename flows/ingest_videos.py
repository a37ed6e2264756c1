"""Flow `ingest-videos`: videos become clips of a dataset. Run again on the same videos it does nothing."""

import logging
from collections.abc import Mapping
from typing import Any

from prefect import flow, task
from prefect.client.schemas import State
from prefect.states import Completed

from flows import artifacts, events
from flows.ingest_progress import Artifact
from flows.logs import show_our_logs
from flows.parameters import AbsoluteUri, Cluster, Layout, Source, Workers
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.find.sources import holds_videos
from pipelines.settings import settings

log = logging.getLogger(__name__)


@flow(name="ingest-videos", validate_parameters=True)
def ingest_videos(
    sources: list[Source] | None = None,
    dataset: AbsoluteUri | None = None,
    config: IngestConfig | None = None,
    workers: Workers | None = None,
    cluster: Cluster | None = None,
    layout: Layout | None = None,
    exclude: list[AbsoluteUri] | None = None,
    allow_benchmarks: bool = False,
    retry_quarantined: bool = False,
) -> State[dict[str, Any]]:
    """Ingest `sources` (default: the inbox) into `dataset` and publish its new manifest.

    Args:
        sources: files, folders, patterns, s3:// objects and prefixes, or lists of them. Without them `SSTRACK_INBOX`
            is ingested, and an empty or missing inbox completes with 'nothing new'.
        dataset: the dataset's folder or s3:// prefix, default `SSTRACK_DATASET`.
        config: how clips are cut and judged, and what a source may cost.
        workers: watched worker processes, default `SSTRACK_WORKERS`.
        cluster: Ray to run them on.
        layout: read labelled sequences of this layout only.
        exclude: roots of benchmarks; clips that show what their sequences show are left out.
        allow_benchmarks: take labelled sequences of benchmarks' test sets, which are left out otherwise.
        retry_quarantined: try sources again that were set aside because they killed their workers.
    """
    show_our_logs()
    here = settings()
    given = sources if sources is not None else [here.inbox]
    target = dataset or here.dataset
    if sources is None and not holds_videos(here.inbox):
        log.info("nothing new: no video in the inbox %s", here.inbox)
        return Completed(message="nothing new: the inbox is empty", data={})
    how = {
        "cluster": cluster or "",
        "layout": layout or "",
        "exclude": exclude or [],
        "allow_benchmarks": allow_benchmarks,
        "retry_quarantined": retry_quarantined,
    }
    count = here.workers if workers is None else workers
    report = ingest_sources(given, target, config or IngestConfig(), count, how)
    if report["published"]:  # told first: a run that dies after this finds nothing new the next time
        events.dataset_published(target, report["manifest"], report["clips"])
    artifacts.ingest_report(target, report, here.work / "reports")
    if not report["published"]:
        return Completed(message=f"nothing new: manifest {report['manifest'][:8]}", data=report)
    return Completed(message=f"published manifest {report['manifest'][:8]}: {report['clips']} clips", data=report)


@task(name="ingest", retries=0)
def ingest_sources(
    sources: list[str], dataset: str, config: IngestConfig, workers: int, how: Mapping[str, Any]
) -> dict[str, Any]:
    """One batch of sources, with further options of `ingest` in `how`; the report as a dictionary."""
    from pipelines.ingest.run import ingest

    show = Artifact(dataset)
    return ingest(sources, dataset, config, workers=workers, progress=show, pulse=show, **how).as_dict()
