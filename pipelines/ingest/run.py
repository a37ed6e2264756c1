"""`ingest`: video files in, a published dataset out. Finds what is done, does the rest, commits once."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pipelines import storage
from pipelines.dataset.commit import HeadMoved, Tables
from pipelines.dataset.manifest import Manifest, head, load_manifest
from pipelines.dataset.writing import writing
from pipelines.errors import SSTrackError
from pipelines.ingest.clip_job import process_source
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.dedup import without_repeats
from pipelines.ingest.overlap import Benchmarks, load_benchmarks
from pipelines.ingest.pack import Pack, pack_key, read_pack
from pipelines.ingest.pool import run_all
from pipelines.ingest.publish import publish, tables_of
from pipelines.ingest.reject import Reject
from pipelines.ingest.report import IngestProgress, IngestReport, report_on
from pipelines.ingest.sources import Source, discover, identify, label
from pipelines.ingest.workspace import Workspace
from pipelines.settings import absolute, settings

log = logging.getLogger(__name__)

_DEFAULTS = IngestConfig()


def ingest(
    sources: Sequence[str],
    dataset: str,
    config: IngestConfig = _DEFAULTS,
    *,
    workers: int = 1,
    exclude: Sequence[str] = (),
    progress: Callable[[IngestProgress], None] | None = None,
) -> IngestReport:
    """Add the videos in `sources` (files, folders) to `dataset` (a folder or s3:// prefix) and publish a new manifest.

    Sources whose bytes are in the dataset already, kept or rejected under the same settings, are not read again; with
    nothing new nothing is published. Clips that show what sequences under the folders `exclude` show are left out. A
    run that was killed is continued by running it again, to the same bytes.
    Raises SSTrackError where there is nothing to read, nothing usable, no space or permission, or another ingest.
    """
    dataset = absolute(dataset)
    paths = discover(sources)
    storage.require_conditions(storage.join(dataset, "HEAD"))
    with writing(dataset, "ingest"):
        benchmarks = load_benchmarks([absolute(root) for root in exclude], settings().work / "benchmark-hashes")
        return _ingest(paths, dataset, config, benchmarks, workers, progress)


def _ingest(
    paths: Sequence[Path],
    dataset: str,
    config: IngestConfig,
    benchmarks: Benchmarks,
    workers: int,
    progress: Callable[[IngestProgress], None] | None,
) -> IngestReport:
    space = Workspace.of(dataset)
    space.clear_drafts()
    parent, before, known_ids = _newest(dataset, config)
    seen, extra = _identify_all(paths, config)
    new = [source for source in seen if source.source_id not in known_ids]
    packs = _process_all(new, config, space, workers, progress) if new else []
    while True:
        packs = [pack for pack in packs if pack.source.source_id not in known_ids]
        extra = [row for row in extra if row.source_id not in known_ids]
        distinct = without_repeats(packs, before.clips, config, benchmarks)
        clips_new = sum(len(pack.clips) for pack in distinct)
        if not packs and parent is not None:
            manifest = parent
            break
        if clips_new == 0 and before.clips.num_rows == 0:
            space.discard(space.pack(pack_key(source, config)) for source in seen)
            raise SSTrackError(_nothing_usable(distinct, extra))
        try:
            manifest = publish(dataset, parent, before, distinct, extra, config, space.scratch)
            break
        except HeadMoved as moved:
            log.warning("%s Publishing on top of it.", moved)
            parent, before, known_ids = _newest(dataset, config)
    space.discard(space.pack(pack_key(source, config)) for source in seen)
    report = report_on(
        manifest, published=bool(packs), new=len(packs), known=len(seen) - len(packs), clips_new=clips_new
    )
    log.info(report.line())
    return report


def _newest(dataset: str, config: IngestConfig) -> tuple[Manifest | None, Tables, set[str]]:
    """The manifest that HEAD names, its tables, and the sources that it holds under these settings."""
    parent = load_manifest(dataset) if head(dataset) else None
    tables = tables_of(dataset, parent)
    pairs = zip(tables.sources["source_id"].to_pylist(), tables.sources["config"].to_pylist(), strict=True)
    return parent, tables, {source_id for source_id, digest in pairs if digest == config.digest}


def _identify_all(paths: Sequence[Path], config: IngestConfig) -> tuple[list[Source], list[Reject]]:
    """Distinct sources, and reject rows for second names of the same bytes and for files that cannot be read."""
    seen: dict[str, Source] = {}
    extra: list[Reject] = []
    for path in paths:
        try:
            source = identify(path)
        except SSTrackError as error:
            extra.append(Reject("", label(path), "read", "unreadable", str(error), config.digest))
            continue
        first = seen.setdefault(source.source_id, source)
        if first is not source:
            detail = f"the same bytes as {first.uri}"
            extra.append(Reject(source.source_id, source.uri, "read", "duplicate", detail, config.digest))
    return list(seen.values()), extra


def _process_all(
    new: Sequence[Source],
    config: IngestConfig,
    space: Workspace,
    workers: int,
    progress: Callable[[IngestProgress], None] | None,
) -> list[Pack]:
    packs: list[Pack] = []
    seconds = 0.0
    for source, uri in run_all(partial(process_source, config=config, space=space), new, workers):
        pack = read_pack(uri).located(source.uri)
        packs.append(pack)
        seconds += pack.source.seconds
        dropped = ", ".join(sorted({reject.reason for reject in pack.rejects}))
        log.info(
            "%s: %.1f s, %d clips%s",
            source.uri,
            pack.source.seconds,
            len(pack.clips),
            f", dropped: {dropped}" if dropped else "",
        )
        if progress is not None:
            progress(IngestProgress(len(packs), len(new), seconds, source.uri, len(pack.clips)))
    return packs


def _nothing_usable(packs: Sequence[Pack], extra: Sequence[Reject]) -> str:
    rejects = [*(reject for pack in packs for reject in pack.rejects), *extra]
    counts = Counter(reject.reason for reject in rejects)
    reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(counts.items()))
    examples = "; ".join(f"{reject.source_uri}: {reject.detail}" for reject in rejects[:3])
    return f"no usable clip in {len(packs)} source(s): {reasons}. {examples}. Nothing was published; give other videos."
