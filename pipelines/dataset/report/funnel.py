"""What became of the video that was put in: counts and seconds from sources to kept clips, and why the rest went."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.dataset.commit import read_tables
from pipelines.dataset.manifest import load_manifest
from sstrack.clips.quality import SCORES

Row = dict[str, Any]

_WORST = 12
_BINS = 24


@dataclass(frozen=True)
class Loss:
    """Spans or whole sources dropped for one reason in one stage, and the seconds of video that went with them."""

    stage: str
    reason: str
    count: int
    seconds: float


@dataclass(frozen=True)
class Histogram:
    """`counts` of clips in equal steps from `low` to `high`; `missing` clips have no such score."""

    low: float
    high: float
    counts: tuple[int, ...]
    missing: int


@dataclass(frozen=True)
class Offender:
    """A source of which much was dropped."""

    uri: str
    seconds: float
    lost: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Funnel:
    """A dataset's way from video to clips. `seconds` of video read, `kept_seconds` in clips; `judged` counts the clips
    that were judged, kept or not; `totals` holds the contract of `dataset info --json`; `treated` counts sources by
    what was done to their pictures before they were stored."""

    dataset: str
    totals: Mapping[str, Any]
    usable_sources: int
    judged: int
    clips: int
    seeded: int
    seconds: float
    kept_seconds: float
    losses: tuple[Loss, ...]
    histograms: Mapping[str, Histogram]
    offenders: tuple[Offender, ...]
    treated: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the contract's keys first."""
        return {
            **self.totals,
            "usable_sources": self.usable_sources,
            "clips_judged": self.judged,
            "clips_with_seed": self.seeded,
            "kept_seconds": self.kept_seconds,
            "treated": dict(self.treated),
            "lost_seconds": {f"{loss.stage}/{loss.reason}": loss.seconds for loss in self.losses},
        }


def funnel_of(dataset: str, manifest: str | None = None) -> Funnel:
    """Read the funnel of a dataset's manifest, the newest if None. Raises SSTrackError where there is none."""
    head = load_manifest(dataset, manifest)
    tables = read_tables(dataset, head)
    clips, rejects, sources = (table.to_pylist() for table in (tables.clips, tables.rejects, tables.sources))
    length = {row["source_id"]: row["seconds"] for row in sources}
    totals = {
        "manifest": head.digest,
        "parent": head.parent,
        "data_digest": head.data_digest,
        "clips": head.totals.clips,
        "frames": head.totals.frames,
        "bytes": head.totals.bytes,
        "shards": len(head.shards),
        "seconds": head.totals.seconds_in,
        "sources": head.totals.sources,
        "rejects": dict(head.totals.rejects),
    }
    judged = sum(row["stage"] in ("quality", "dedup", "refilter") for row in rejects)
    return Funnel(
        dataset=dataset,
        totals=totals,
        usable_sources=len({row["source_id"] for row in clips}),
        judged=len(clips) + judged,
        clips=len(clips),
        seeded=sum(bool(row["seed_source"]) for row in clips),
        seconds=head.totals.seconds_in,
        kept_seconds=head.totals.seconds_kept,
        losses=_losses(rejects, length),
        histograms={name: _histogram(clips, name) for name in (*SCORES, "seed_score") if clips},
        offenders=_offenders(rejects, length),
        treated=dict(sorted(Counter(word for row in sources for word in row.get("treated") or ()).items())),
    )


def _seconds(row: Row, length: Mapping[str, float]) -> float:
    """Seconds that a reject stands for: its span, or its whole source; none for a second name of the same bytes."""
    if row["start_s"] is not None and row["end_s"] is not None:
        return max(0.0, row["end_s"] - row["start_s"])
    return 0.0 if row["stage"] in ("read", "list", "decode") else length.get(row["source_id"], 0.0)


def _losses(rejects: list[Row], length: Mapping[str, float]) -> tuple[Loss, ...]:
    grouped: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rejects:
        grouped[row["stage"], row["reason"]].append(_seconds(row, length))
    losses = [Loss(*key, len(spans), round(sum(spans), 3)) for key, spans in grouped.items()]
    return tuple(sorted(losses, key=lambda loss: (-loss.seconds, -loss.count, loss.stage, loss.reason)))


def _offenders(rejects: list[Row], length: Mapping[str, float]) -> tuple[Offender, ...]:
    lost: dict[str, float] = defaultdict(float)
    reasons: dict[str, set[str]] = defaultdict(set)
    whole: dict[str, float] = {}
    for row in rejects:
        uri = row["source_uri"] or row["source_id"]
        lost[uri] += _seconds(row, length)
        reasons[uri].add(row["reason"])
        whole[uri] = length.get(row["source_id"], 0.0)
    worst = sorted(lost, key=lambda uri: (-lost[uri], uri))[:_WORST]
    return tuple(Offender(uri, whole[uri], round(lost[uri], 3), tuple(sorted(reasons[uri]))) for uri in worst)


def _histogram(clips: list[Row], name: str) -> Histogram:
    values = np.array([row[name] for row in clips], np.float64)
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return Histogram(0.0, 1.0, (0,) * _BINS, len(values))
    high = float(known.max()) or 1.0
    counts, _ = np.histogram(known, bins=_BINS, range=(0.0, high))
    return Histogram(0.0, high, tuple(counts.tolist()), len(values) - len(known))
