"""The health of a dataset and its champion, as data: numbers first, then the alarms that follow from them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipelines import storage
from pipelines.dataset.manifest import Manifest, load_manifest, read_clips, read_rejects
from pipelines.errors import SSTrackError
from pipelines.health.limits import HealthLimits
from pipelines.ingest.state.quarantine import quarantined
from pipelines.registry.names import PROMOTED_AT
from pipelines.registry.versions import Registered, champion
from sstrack.clips.drift import Drift, drift
from sstrack.clips.quality import SCORES

_BROKEN = frozenset(
    ("not_a_video", "undecodable", "corrupt", "crashed", "bad_times", "no_frames", "unreadable", "checksum", "missing",
     "unknown_codec", "empty")
)  # fmt: skip
"""Reasons of a reject that say that something is wrong with the file, not that it is of no use for training."""


@dataclass(frozen=True)
class Alarm:
    """Something that a person should look at."""

    name: str
    """One of stale_champion, unseen_clips, drift, failed_sources, quarantined."""
    sentence: str


@dataclass(frozen=True)
class Health:
    """How things stand."""

    dataset: str
    manifest: str | None
    clips: int
    sources: int
    failed: int
    """Sources that gave no clip because they could not be read or decoded."""
    quarantined: int
    """Sources that are set aside because they killed their workers."""
    champion: str | None
    """The champion's version."""
    champion_days: float | None
    """Days since it was promoted."""
    unseen: int
    """Clips of the newest manifest that the champion was not trained on; all of them where there is no champion, or
    where it learnt from another dataset."""
    drift: tuple[Drift, ...]
    """Scores of the unseen clips against those that the champion was trained on."""
    alarms: tuple[Alarm, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def check_health(
    dataset: str, uri: str, name: str, limits: HealthLimits | None = None, now: datetime | None = None
) -> Health:
    """Look at the newest manifest of `dataset` and at the champion of the registered model `name` in the MLflow store
    `uri`. A dataset that was never published is empty, not an error. Reads tables only, no shard.
    """
    within = limits or HealthLimits()
    holder = champion(uri, name)
    days = _days(holder, now or datetime.now(UTC))
    if not storage.exists(storage.join(dataset, "HEAD")):
        alarms = _alarms(within, holder, days, 0, 0, (), 0, 0, 0)
        return Health(dataset, None, 0, 0, 0, 0, holder and holder.version, days, 0, (), tuple(alarms))
    newest = load_manifest(dataset)
    clips, rejects = read_clips(dataset, newest), read_rejects(dataset, newest)
    learnt = _learnt(dataset, newest, clips, holder)
    ids = clips["clip_id"].to_pylist()
    fresh = [clip not in learnt for clip in ids]
    moved = tuple(drift(_scores(clips, [not each for each in fresh]), _scores(clips, fresh)))
    failed, aside = _failed(rejects, set(clips["source_id"].to_pylist())), len(quarantined(rejects))
    sources = newest.totals.sources
    alarms = _alarms(within, holder, days, sum(fresh), len(ids), moved, failed, aside, sources)
    version = holder.version if holder else None
    found = (dataset, newest.digest, len(ids), sources, failed, aside, version, days, sum(fresh), moved)
    return Health(*found, tuple(alarms))


def _days(holder: Registered | None, now: datetime) -> float | None:
    if holder is None:
        return None
    said = holder.tags.get(PROMOTED_AT)
    since = datetime.fromisoformat(said) if said else holder.created
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    return round((now - since).total_seconds() / 86_400, 2)


def _learnt(dataset: str, newest: Manifest, clips: pa.Table, holder: Registered | None) -> set[str]:
    """Ids of the clips of this dataset that the champion was trained on."""
    if holder is None:
        return set()
    if newest.digest in holder.manifest.split(","):
        return set(clips["clip_id"].to_pylist())
    found: set[str] = set()
    for digest in filter(None, holder.manifest.split(",")):
        try:
            found |= set(read_clips(dataset, load_manifest(dataset, digest))["clip_id"].to_pylist())
        except SSTrackError:
            continue  # a manifest of another dataset, or one that was pruned: nothing of this one is known to be in it
    return found


def _scores(clips: pa.Table, chosen: list[bool]) -> Mapping[str, list[float]]:
    rows = clips.filter(pa.array(chosen, pa.bool_()))
    return {
        name: [value for value in rows[name].to_pylist() if value is not None]
        for name in SCORES
        if name in rows.column_names
    }


def _failed(rejects: pa.Table, with_clips: set[str]) -> int:
    columns = (rejects[name].to_pylist() for name in ("source_id", "reason"))
    return len({key for key, reason in zip(*columns, strict=True) if reason in _BROKEN} - with_clips)


def _alarms(
    limits: HealthLimits,
    holder: Registered | None,
    days: float | None,
    unseen: int,
    clips: int,
    moved: tuple[Drift, ...],
    failed: int,
    aside: int,
    sources: int,
) -> list[Alarm]:
    found: list[Alarm] = []
    if holder is not None and days is not None and days > limits.champion_days:
        sentence = f"version {holder.version} is champion for {days:.0f} days: retrain, or raise champion_days"
        found.append(Alarm("stale_champion", sentence))
    if holder is not None and clips and unseen / clips > limits.unseen_share:
        found.append(Alarm("unseen_clips", f"the champion was not trained on {unseen} of {clips} clips: retrain"))
    strange = [each for each in moved if each.moved]
    if strange:
        told = ", ".join(f"{each.score} (median {each.before:.3g} to {each.after:.3g})" for each in strange)
        found.append(Alarm("drift", f"clips that the champion was not trained on look different: {told}"))
    if sources and failed / sources > limits.failed_share:
        sentence = f"{failed} of {sources} sources gave no clip because they are broken: `sstrack dataset info`"
        found.append(Alarm("failed_sources", sentence))
    if aside:
        sentence = (
            f"{aside} sources are set aside because they killed their workers: ingest again with `--retry-quarantined`"
        )
        found.append(Alarm("quarantined", sentence))
    return found
