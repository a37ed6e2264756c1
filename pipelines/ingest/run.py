"""`ingest`: videos and labelled sets in, a published dataset out. Finds what is done, does the rest, commits once.

find      find.sources     what the sources name, in which version
          held, state      less what is done: those are not read again
for each that is new, on a crew of workers (collect, errand):
  fetch     fetch            a copy where it is stored elsewhere; what its bytes are
  probe     video.probe      what it claims to be
  decode    video.part       one pass: tiny frames, stored frames, their soundness
  shots     video.cut        where a shot may not go on, less what is damaged
  judge     clip.judge       scores, verdicts and hash of each clip
  seed      clip.seeding     where its target may be
  pack      pack             all of it in one file, which is found again
dedup     curate.dedup     less clips that show what others, or benchmarks, show
publish   publish.publish  packs to shards and tables; the manifest; HEAD
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipelines import storage
from pipelines.dataset.commit import HeadMoved
from pipelines.dataset.manifest import Manifest
from pipelines.dataset.writing import writing
from pipelines.errors import SSTrackError
from pipelines.ingest.collect import Gathered, OnProgress, collect
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.curate.dedup import without_repeats
from pipelines.ingest.curate.overlap import Benchmarks, load_benchmarks
from pipelines.ingest.errand import Setup
from pipelines.ingest.find.lists import BadRow
from pipelines.ingest.find.sources import WITHHELD, Found, discover, printable
from pipelines.ingest.held import Held, held_in
from pipelines.ingest.pack import Pack, pack_key
from pipelines.ingest.publish.publish import publish
from pipelines.ingest.reject import Reject
from pipelines.ingest.report import IngestReport, report_on
from pipelines.ingest.state.names import Names
from pipelines.ingest.state.quarantine import Crashes
from pipelines.ingest.state.workspace import Workspace
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
    progress: OnProgress | None = None,
    pulse: OnProgress | None = None,
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
    if withheld := sum(bad.reason == WITHHELD for bad in discovery.bad):
        log.warning("%d labelled sequences are of benchmarks' test sets and left out (--allow-benchmarks)", withheld)
    storage.require_conditions(storage.join(dataset, "HEAD"))
    with writing(dataset, "ingest"):
        benchmarks = load_benchmarks([absolute(root) for root in exclude], settings().work / "benchmark-hashes")
        run = _Run(dataset, config, benchmarks, retry_quarantined)
        new = [found for found in discovery.found if not run.is_done(found)]
        setup = Setup(config, run.space, run.held.done, split=workers > 1)
        gathered = collect(new, setup, run.names, run.crashes, workers, cluster, progress, pulse)
        gathered.known += len(discovery.found) - len(new)
        gathered.extra += [_named_in_vain(bad, config.digest) for bad in discovery.bad]
        report = run.publish(gathered, named={each.label for each in discovery.found} | {b.uri for b in discovery.bad})
    log.info(report.line())
    return report


class _Run:
    """What one run knows of the dataset, which changes where somebody else publishes meanwhile, and keeps beside it."""

    def __init__(self, dataset: str, config: IngestConfig, benchmarks: Benchmarks, retry_quarantined: bool) -> None:
        self._dataset, self._config, self._retry = dataset, config, retry_quarantined
        self._benchmarks = benchmarks
        self.space = Workspace.of(dataset)
        self.space.clear_drafts()
        self.crashes = Crashes(dataset)
        if retry_quarantined:
            self.crashes.forget()
        self.held = self._look()
        self.names = Names(dataset, self.held.tables.sources)

    def is_done(self, found: Found) -> bool:
        """Whether the dataset holds the source that bears this name in this version."""
        return self.names.source_of(found.label, found.version) in self.held.done

    def publish(self, gathered: Gathered, named: set[str]) -> IngestReport:
        """Commit a manifest with what is new, on top of whatever HEAD names by then. `named` are all names that this
        run was given: what was said of them before gives way."""
        while True:
            packs = self._fresh(gathered)
            if not packs and self.held.parent is not None:
                manifest = self.held.parent
                break
            self._require_clips(packs, gathered)
            try:
                manifest = self._commit(packs, gathered, named)
                break
            except HeadMoved as moved:
                log.warning("%s Publishing on top of it.", moved)
                self.held = self._look()
        if packs:
            self.names.forget_waiting()
            self.crashes.forget()
        else:
            self.names.keep_waiting(self.held.source_ids)
        self.space.discard(self._leftovers({*gathered.packs, *self.held.done}))
        clips = sum(len(pack.clips) for pack in packs)
        return report_on(manifest, published=bool(packs), new=len(packs), known=gathered.known, clips_new=clips)

    def _look(self) -> Held:
        return held_in(self._dataset, self._config.digest, retry_quarantined=self._retry)

    def _fresh(self, gathered: Gathered) -> list[Pack]:
        """Packs of sources that the dataset does not hold by now, without clips that repeat others."""
        packs = [self._named(pack) for key, pack in sorted(gathered.packs.items()) if key not in self.held.done]
        rule = self._config.match_rule if self._config.dedup else None
        return without_repeats(packs, self.held.tables.clips, rule, self._benchmarks)

    def _require_clips(self, packs: Sequence[Pack], gathered: Gathered) -> None:
        """Raise SSTrackError where the dataset would hold no clip at all; the packs of this run go."""
        if self.held.tables.clips.num_rows == 0 and not any(pack.clips for pack in packs):
            self.space.discard(self._leftovers(gathered.packs))
            raise SSTrackError(_nothing_usable(packs, gathered.extra))

    def _commit(self, packs: Sequence[Pack], gathered: Gathered, named: set[str]) -> Manifest:
        before = replace(
            self.held.tables,
            rejects=self.held.rejects_less(named),
            sources=self.names.in_table(self.held.tables.sources),
        )
        extra = [*gathered.extra, *self._duplicates(packs)]
        return publish(self._dataset, self.held.parent, before, packs, extra, self._config, self.space.scratch)

    def _named(self, pack: Pack) -> Pack:
        """The pack with all names of its source."""
        return pack.located(*self.names.of(pack.source.source_id))

    def _duplicates(self, packs: Sequence[Pack]) -> list[Reject]:
        """A row for each further name of new bytes."""
        return [
            Reject(pack.source.source_id, uri, "read", "duplicate", f"the same bytes as {first}", self._config.digest)
            for pack in packs
            for first, *others in [self.names.of(pack.source.source_id)[0]]
            for uri in others
        ]

    def _leftovers(self, source_ids: Iterable[str]) -> list[str]:
        """Packs of these sources that still lie beside the dataset."""
        there = storage.list_files(self.space.packs)
        wanted = (
            {self.space.pack(pack_key(source_id, self._config.digest)) for source_id in source_ids} if there else set()
        )
        return [uri for uri in there if uri in wanted]


def _named_in_vain(bad: BadRow, config_digest: str) -> Reject:
    return Reject("", bad.uri, "list", bad.reason, f"{bad.place}: {bad.detail}".removeprefix(": "), config_digest)


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
