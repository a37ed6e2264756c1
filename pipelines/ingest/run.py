"""`ingest`: video files in, a published dataset out. Finds what is done, does the rest, commits once."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from pipelines import storage
from pipelines.dataset.manifest import head, load_manifest
from pipelines.errors import SSTrackError
from pipelines.ingest.clip_job import process_source
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.pack import Pack, read_pack
from pipelines.ingest.pool import run_all
from pipelines.ingest.publish import publish, read_tables
from pipelines.ingest.reject import Reject
from pipelines.ingest.report import IngestProgress, IngestReport, report_on
from pipelines.ingest.sources import Source, discover, identify, label
from pipelines.locks import work_lock

log = logging.getLogger(__name__)

_DEFAULTS = IngestConfig()


def ingest(
    sources: Sequence[str],
    dataset: str,
    config: IngestConfig = _DEFAULTS,
    *,
    workers: int = 1,
    progress: Callable[[IngestProgress], None] | None = None,
) -> IngestReport:
    """Add the videos in `sources` (files, folders) to `dataset` (a local folder), and publish a new manifest.

    Sources whose bytes are in the dataset already, kept or rejected under the same settings, are not read again; with
    nothing new nothing is published. A run that was killed is continued by running it again, to the same bytes.
    Raises SSTrackError where there is nothing to read, nothing usable, no space or permission, or another ingest.
    """
    folder = storage.local_path(dataset).expanduser().absolute()
    paths = discover(sources)
    fresh = not folder.exists()
    try:
        with work_lock(folder, "ingest"):
            return _ingest(paths, folder, config, workers, progress)
    finally:
        if fresh:
            with suppress(OSError):
                folder.rmdir()  # only where the run left nothing in it


def _ingest(
    paths: Sequence[Path],
    folder: Path,
    config: IngestConfig,
    workers: int,
    progress: Callable[[IngestProgress], None] | None,
) -> IngestReport:
    dataset, state = str(folder), folder / "_state"
    with storage.explained(state):
        shutil.rmtree(state / "tmp", ignore_errors=True)
    parent = load_manifest(dataset) if head(dataset) else None
    before = read_tables(dataset, parent)
    known_ids = _known(before.sources, config)
    seen, extra = _identify_all(paths, config)
    new = [source for source in seen if source.source_id not in known_ids]
    extra = [row for row in extra if row.source_id not in known_ids]
    known = len(seen) - len(new)
    if not new and parent is not None:
        report = report_on(parent, published=False, new=0, known=known, clips_new=0)
        log.info(report.line())
        return report
    packs = _process_all(new, config, state, workers, progress)
    clips_new = sum(len(pack.clips) for pack in packs)
    if clips_new == 0 and before.clips.num_rows == 0:
        shutil.rmtree(state, ignore_errors=True)
        raise SSTrackError(_nothing_usable(packs, extra))
    manifest = publish(dataset, parent, before, packs, extra, config, state / "tmp")
    shutil.rmtree(state, ignore_errors=True)
    report = report_on(manifest, published=True, new=len(new), known=known, clips_new=clips_new)
    log.info(report.line())
    return report


def _known(sources, config: IngestConfig) -> set[str]:
    pairs = zip(sources["source_id"].to_pylist(), sources["config"].to_pylist(), strict=True)
    return {source_id for source_id, digest in pairs if digest == config.digest}


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
    state: Path,
    workers: int,
    progress: Callable[[IngestProgress], None] | None,
) -> list[Pack]:
    packs: list[Pack] = []
    seconds = 0.0
    for source, folder in run_all(partial(process_source, config=config, state=state), new, workers):
        pack = read_pack(folder)
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
