"""Does the new sources of a run on a crew and gathers what they came to: packs, names, and what could not be had."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipelines.crew.crews import crew
from pipelines.crew.schedules import GIVEN_UP, Finished, Retries, Running, run_errands
from pipelines.errors import SSTrackError
from pipelines.ingest.errand import Result, Setup, run_errand
from pipelines.ingest.find.sources import Found, printable
from pipelines.ingest.pack import Pack, SourceRecord, read_pack
from pipelines.ingest.progress import IngestProgress, Meter
from pipelines.ingest.reject import QUARANTINE, Reject, Transient
from pipelines.ingest.state import quarantine
from pipelines.ingest.state.names import Names

log = logging.getLogger(__name__)

OnProgress = Callable[[IngestProgress], None]


@dataclass
class Gathered:
    """`packs` by source id, `extra` reject rows of names that gave none, `known` names of sources seen before."""

    packs: dict[str, Pack] = field(default_factory=dict)
    extra: list[Reject] = field(default_factory=list)
    known: int = 0
    failed: int = 0


def collect(
    new: Sequence[Found],
    setup: Setup,
    names: Names,
    crashes: quarantine.Crashes,
    workers: int,
    cluster: str,
    progress: OnProgress | None,
    pulse: OnProgress | None,
) -> Gathered:
    """Do all of `new`. `progress` is told after each source, `pulse` every half second.

    Raises SSTrackError where the disk refuses, or where more than `max_failed_share` of the sources failed.
    """
    config = setup.config
    gathered = Gathered()
    if not new:
        return gathered
    meter = Meter([found.weight for found in new])
    latest: list[Running] = []

    def watch(running: Sequence[Running]) -> None:
        latest[:] = running
        if pulse is not None:
            pulse(meter.now(running))

    retries = Retries(Transient, config.attempts, config.retry_seconds, config.crashes)
    with crew(workers, cluster, partial(run_errand, setup), config.deadline, config.memory_mib, Transient) as hands:
        for finished in run_errands(new, hands, retries, watch, crashes):
            seconds, clips = _take(finished, gathered, names, config.digest)
            meter.ended(finished.errand.weight, seconds, _cpu(finished))
            _require_few_failures(gathered, len(new), config.max_failed_share)
            if progress is not None:
                running = [each for each in latest if each.errand is not finished.errand]
                progress(meter.now(running, finished.errand.label, clips))
    return gathered


def _cpu(finished: Finished) -> dict[str, float]:
    """CPU seconds per stage of a source, its segments included."""
    spent: Counter[str] = Counter()
    for result in (*finished.pieces, finished.value):
        spent.update(result.cpu if result else {})
    return dict(spent)


def _take(finished: Finished, gathered: Gathered, names: Names, config: str) -> tuple[float, int]:
    """File one source; returns its seconds and clips."""
    found: Found = finished.errand
    if finished.reason:
        return _take_failure(finished, gathered, names, config)
    result: Result = finished.value
    if result.problem is not None:
        gathered.extra.append(Reject("", found.label, *result.problem, config))
        log.warning("%s: %s: %s", printable(found.label), *result.problem[1:])
        return 0.0, 0
    names.add(result.source_id, found.label, found.version)
    if not result.pack:
        gathered.known += 1
        return 0.0, 0
    if result.source_id in gathered.packs:
        return 0.0, 0
    pack = gathered.packs[result.source_id] = read_pack(result.pack)
    dropped = ", ".join(sorted({reject.reason for reject in pack.rejects}))
    told = (printable(found.label), pack.source.seconds, len(pack.clips), f", dropped: {dropped}" if dropped else "")
    log.info("%s: %.1f s, %d clips%s", *told)
    return pack.source.seconds, len(pack.clips)


def _take_failure(finished: Finished, gathered: Gathered, names: Names, config: str) -> tuple[float, int]:
    found: Found = finished.errand
    source_id, reason, detail = finished.subject, finished.reason, finished.detail
    if reason == GIVEN_UP:
        reason = "unreachable"
    elif reason in QUARANTINE:
        detail += "; --retry-quarantined tries it again"
    log.warning("%s: %s: %s", printable(found.label), reason, detail)
    gathered.failed += 1
    if reason in QUARANTINE and source_id:
        record = SourceRecord(source_id, found.label, found.bytes, config)
        row = quarantine.row(source_id, found.label, reason, detail, config)
        gathered.packs.setdefault(source_id, Pack(record, (), (row,)))
        names.add(source_id, found.label, found.version)
    else:
        gathered.extra.append(Reject("", found.label, quarantine.STAGE, reason, detail[:500], config))
    return 0.0, 0


def _require_few_failures(gathered: Gathered, total: int, share: float) -> None:
    if gathered.failed <= share * total:
        return
    rows = [*(reject for pack in gathered.packs.values() for reject in pack.rejects), *gathered.extra]
    failures = [row for row in rows if row.stage == quarantine.STAGE]
    examples = "; ".join(f"{printable(row.source_uri)}: {row.reason}, {row.detail}" for row in failures[:3])
    raise SSTrackError(
        f"{gathered.failed} of {total} new sources failed, more than max_failed_share={share:g} allows: {examples}. "
        "Nothing was published; finished packs are kept. Solve that and run the same command again, or raise the share."
    )
