"""`ingest`: videos and labelled sets in, a published dataset out. Finds what is done, does the rest, commits once."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa

from pipelines import storage
from pipelines.dataset.commit import HeadMoved, Tables
from pipelines.dataset.manifest import Manifest, head, load_manifest
from pipelines.dataset.writing import writing
from pipelines.errors import SSTrackError
from pipelines.ingest.collect import Gathered, Progress, collect
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.curate.dedup import without_repeats
from pipelines.ingest.curate.overlap import Benchmarks, load_benchmarks
from pipelines.ingest.find.sources import JUDGED, Discovery, discover, printable
from pipelines.ingest.job import Setup
from pipelines.ingest.names import Names
from pipelines.ingest.pack import Pack, pack_key
from pipelines.ingest.publish.publish import publish, tables_of
from pipelines.ingest.quarantine import Crashes, quarantined
from pipelines.ingest.reject import Reject
from pipelines.ingest.report import IngestReport, report_on
from pipelines.ingest.workspace import Workspace
from pipelines.settings import absolute, settings

log = logging.getLogger(__name__)

_DEFAULTS = IngestConfig()


def ingest(
    sources: Sequence[str],
    dataset: str,
    config: IngestConfig = _DEFAULTS,
    *,
    workers: int = 0,
    cluster: str = "",
    layout: str = "",
    exclude: Sequence[str] = (),
    allow_benchmarks: bool = False,
    retry_quarantined: bool = False,
    progress: Progress | None = None,
    pulse: Progress | None = None,
) -> IngestReport:
    """Add videos and labelled sequences to `dataset` (a folder or s3:// prefix) and publish a new manifest.

    Sources whose bytes are in the dataset already, kept or rejected under the same settings, are not cut again; those
    whose name and version are known are not even read. With nothing new nothing is published. A run that was killed is
    continued by running it again, to the same bytes.

    Args:
        sources: files, folders, patterns, s3:// objects and prefixes, and lists of them (`@names.txt`, .csv, .parquet).
        dataset: where it is published.
        config: how clips are cut and judged, and what a source may cost.
        workers: worker processes, each watched; 0 works in this process, without limits on memory and time.
        cluster: Ray to run the workers on: "local", "auto" or an address; empty for this machine without Ray.
        layout: read labelled sequences of this layout only; empty detects them.
        exclude: roots of benchmarks; clips that show what their sequences show are left out.
        allow_benchmarks: take labelled sequences that are on a benchmark's test list, which are left out otherwise.
        retry_quarantined: try sources again that were set aside because they killed their workers.
        progress: told after each new source.
        pulse: told about twice a second.

    Raises SSTrackError where there is nothing to read, nothing usable, no space or permission, too many failures, or
    another ingest; UsageError for a source or layout that is none.
    """
    dataset = absolute(dataset)
    storage.is_local(dataset)  # refuses a scheme that is none of ours before anything is read
    discovery = discover(sources, layout, allow_benchmarks)
    if judged := sum(bad.reason == JUDGED for bad in discovery.bad):
        log.warning("%d labelled sequences are of benchmarks' test sets and left out (--allow-benchmarks)", judged)
    storage.require_conditions(storage.join(dataset, "HEAD"))
    with writing(dataset, "ingest"):
        benchmarks = load_benchmarks([absolute(root) for root in exclude], settings().work / "benchmark-hashes")
        run = _Run(dataset, config, benchmarks, retry_quarantined)
        gathered = run.gather(discovery, workers, cluster, progress, pulse)
        report = run.publish(discovery, gathered)
    log.info(report.line())
    return report


class _Run:
    """One run: what is known of the dataset, which changes where somebody else publishes meanwhile."""

    def __init__(self, dataset: str, config: IngestConfig, benchmarks: Benchmarks, retry_quarantined: bool) -> None:
        self._dataset, self._config, self._retry = dataset, config, retry_quarantined
        self._benchmarks = benchmarks
        self._space = Workspace.of(dataset)
        self._space.clear_drafts()
        self._crashes = Crashes(dataset)
        if retry_quarantined:
            self._crashes.forget()
        self._look()
        self._names = Names(dataset, self._before.sources)

    def _look(self) -> None:
        """Read the manifest that HEAD names, its tables, and the sources that it holds under these settings."""
        self._parent: Manifest | None = load_manifest(self._dataset) if head(self._dataset) else None
        self._before: Tables = tables_of(self._dataset, self._parent)
        columns = (self._before.sources[name].to_pylist() for name in ("source_id", "config"))
        self._known = {key for key, digest in zip(*columns, strict=True) if digest == self._config.digest}
        if self._retry:
            self._known -= quarantined(self._before.rejects)

    def gather(
        self, discovery: Discovery, workers: int, cluster: str, progress: Progress | None, pulse: Progress | None
    ) -> Gathered:
        """Do what is new."""
        new = [
            found for found in discovery.found if self._names.source_of(found.label, found.version) not in self._known
        ]
        gathered = Gathered()
        if new:
            known = frozenset(self._known)
            setup = Setup(self._config, self._space, known, split=workers > 1)
            gathered = collect(new, setup, self._names, self._crashes, workers, cluster, progress, pulse)
        gathered.known += len(discovery.found) - len(new)
        gathered.extra += [
            Reject(
                "", bad.uri, "list", bad.reason, f"{bad.place}: {bad.detail}".removeprefix(": "), self._config.digest
            )
            for bad in discovery.bad
        ]
        return gathered

    def publish(self, discovery: Discovery, gathered: Gathered) -> IngestReport:
        """Commit a manifest with what is new, on top of whatever HEAD names by then."""
        named = {found.label for found in discovery.found} | {bad.uri for bad in discovery.bad}
        while True:
            packs = [self._named(pack) for key, pack in sorted(gathered.packs.items()) if key not in self._known]
            packs = without_repeats(packs, self._before.clips, self._config, self._benchmarks)
            clips_new = sum(len(pack.clips) for pack in packs)
            if not packs and self._parent is not None:
                manifest = self._parent
                break
            if clips_new == 0 and self._before.clips.num_rows == 0:
                self._space.discard(self._leftovers(gathered.packs))
                raise SSTrackError(_nothing_usable(packs, gathered.extra))
            before = replace(
                self._before,
                rejects=_without_names(self._before.rejects, named),
                sources=self._names.in_table(self._before.sources),
            )
            extra = [*gathered.extra, *self._duplicates(packs)]
            try:
                manifest = publish(self._dataset, self._parent, before, packs, extra, self._config, self._space.scratch)
                break
            except HeadMoved as moved:
                log.warning("%s Publishing on top of it.", moved)
                self._look()
        if packs:
            self._names.forget_waiting()
            self._crashes.forget()
        else:
            self._names.keep_waiting(self._before.sources["source_id"].to_pylist())
        self._space.discard(self._leftovers({*gathered.packs, *self._known}))
        return report_on(manifest, published=bool(packs), new=len(packs), known=gathered.known, clips_new=clips_new)

    def _named(self, pack: Pack) -> Pack:
        """The pack with all names of its source."""
        return pack.located(*self._names.of(pack.source.source_id))

    def _duplicates(self, packs: Sequence[Pack]) -> list[Reject]:
        """A row for each further name of new bytes."""
        return [
            Reject(pack.source.source_id, uri, "read", "duplicate", f"the same bytes as {first}", self._config.digest)
            for pack in packs
            for first, *others in [self._names.of(pack.source.source_id)[0]]
            for uri in others
        ]

    def _leftovers(self, source_ids: Iterable[str]) -> list[str]:
        """Packs of these sources that still lie beside the dataset."""
        there = storage.list_files(self._space.packs)
        wanted = {self._space.pack(pack_key(source_id, self._config)) for source_id in source_ids} if there else set()
        return [uri for uri in there if uri in wanted]


def _without_names(rejects: pa.Table, named: set[str]) -> pa.Table:
    """The reject rows less those of names without a source that are judged anew by this run."""
    columns = (rejects[name].to_pylist() for name in ("source_id", "source_uri"))
    keep = [bool(key) or uri not in named for key, uri in zip(*columns, strict=True)]
    return rejects.filter(pa.array(keep, pa.bool_()))


def _nothing_usable(packs: Sequence[Pack], extra: Sequence[Reject]) -> str:
    rejects = [*(reject for pack in packs for reject in pack.rejects), *extra]
    counts = Counter(reject.reason for reject in rejects)
    reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(counts.items()))
    examples = "; ".join(f"{printable(reject.source_uri)}: {reject.detail}" for reject in rejects[:3])
    hint = ""
    if any(reject.source_uri.endswith(".txt") for reject in rejects):
        hint = " A text file that lists videos is named with an @ before it: @names.txt."
    count = len(packs) + len(extra)
    return (
        f"no usable clip in {count} source(s): {reasons}. {examples}. Nothing was published; give other videos.{hint}"
    )
