"""`refilter`: judge a dataset's clips again by their kept scores, and publish a child manifest. No video is read.

A clip that this drops stays in its shard and can come back with other limits; one that ingest dropped was never stored.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from pipelines import storage
from pipelines.dataset.commit import Tables, publish_child, read_tables
from pipelines.dataset.manifest import Manifest, Shard, load_manifest, read_clips
from pipelines.dataset.writing import writing
from pipelines.errors import SSTrackError, UsageError
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.curate.dedup import repeats
from pipelines.ingest.curate.overlap import load_benchmarks
from pipelines.ingest.publish.tables import reject_rows
from pipelines.ingest.reject import Reject
from pipelines.settings import absolute, settings
from sstrack.clips.clip import PSEUDO
from sstrack.clips.hashing import hashes_of
from sstrack.clips.matching import MatchRule
from sstrack.clips.quality import SCORES, Limits, verdicts

log = logging.getLogger(__name__)

STAGE = "refilter"
_RAISE = ("min_frames", "black_level", "flat_level", "still_level", "blur_level")
_LOWER = ("frozen_share", "slideshow_share", "overlay_share", "score_only")
_REPEATS = ("dedup", "duplicate_bits", "duplicate_mirror")
ADJUSTABLE = (*_RAISE, *_LOWER, *_REPEATS)
"""Settings that can be changed without reading a video: a higher value of the first five drops more, a lower one of the
next four; the last three look for duplicates anew."""

Row = dict[str, Any]


@dataclass(frozen=True)
class RefilterReport:
    """What a refilter did. `dropped` counts by reason what went, `restored` what earlier refilters had dropped and came
    back; `lost` are clips that these limits would keep but whose shards are gone."""

    manifest: str
    parent: str
    published: bool
    clips: int
    dropped: Mapping[str, int]
    restored: int
    lost: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def refilter(
    dataset: str, changes: Mapping[str, Any], *, exclude: Sequence[str] = (), publish: bool = True
) -> RefilterReport:
    """Publish a child of the dataset's newest manifest with the clips that the changed limits keep.

    Args:
        dataset: a dataset's folder or s3:// prefix.
        changes: new values of settings named in `ADJUSTABLE`; the others stay as they were.
        exclude: roots of benchmarks; clips that show what their sequences show are dropped.
        publish: False only says what would happen.

    Raises UsageError for a setting that cannot be changed here or a value out of bounds, SSTrackError where nothing
    would be left, and HeadMoved where somebody else published meanwhile.
    """
    dataset = absolute(dataset)
    if not publish:
        return _refilter(dataset, changes, exclude, publish)
    with writing(dataset, STAGE):
        return _refilter(dataset, changes, exclude, publish)


def _refilter(dataset: str, changes: Mapping[str, Any], exclude: Sequence[str], publish: bool) -> RefilterReport:
    parent = load_manifest(dataset)
    tables = read_tables(dataset, parent)
    config = _changed(parent, changes)
    stored, shards, lost = _stored(dataset, parent, tables)
    why = _spoken_against(stored, config.clip_limits, keep_all=config.score_only)
    why |= _benchmarked({key: row for key, row in stored.items() if key not in why}, exclude)
    if config.dedup and any(name in changes for name in _REPEATS):
        why |= _repeated({key: row for key, row in stored.items() if key not in why}, tables.sources, config.match_rule)
    before = set(tables.clips["clip_id"].to_pylist())
    after = set(stored) - set(why)
    report = RefilterReport(
        manifest=parent.digest,
        parent=parent.digest,
        published=False,
        clips=len(after),
        dropped=dict(sorted(Counter(why[key].reason for key in before - after).items())),
        restored=len(after - before),
        lost=lost,
    )
    if not after:
        raise SSTrackError(f"no clip of {dataset} would be left ({dict(report.dropped)}); loosen the limits")
    if not publish or (after == before and config.digest == parent.config_digest):
        return report
    child = publish_child(
        dataset,
        parent,
        _tables(tables, stored, why, after, parent, config),
        shards,
        config.model_dump(),
        config.digest,
        parent.tools,
    )
    log.info("%s: %d clips, %d before; manifest %s", dataset, len(after), len(before), child.digest[:12])
    return RefilterReport(**{**asdict(report), "manifest": child.digest, "published": True})


def _changed(parent: Manifest, changes: Mapping[str, Any]) -> IngestConfig:
    wrong = sorted(set(changes) - set(ADJUSTABLE))
    if wrong:
        raise UsageError(
            f"--set {', '.join(wrong)}: a refilter reads no video, so it can change only {', '.join(ADJUSTABLE)}; "
            "ingest the sources again for the rest"
        )
    try:
        return IngestConfig.model_validate({**parent.config, **changes})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, at['loc']))}: {at['msg']}" for at in error.errors())
        raise UsageError(f"--set {problems}") from error


def _stored(dataset: str, parent: Manifest, tables: Tables) -> tuple[dict[str, Row], list[Shard], int]:
    """Rows of all clips that can be had, by id in the order of the table, their shards, and how many are lost.

    Besides the parent's clips these are those that earlier refilters dropped: their rows are in an ancestor's table.
    """
    rows: dict[str, Row] = {row["clip_id"]: row for row in tables.clips.to_pylist()}
    shards = {shard.sha256: shard for shard in parent.shards}
    dropped = zip(tables.rejects["stage"].to_pylist(), tables.rejects["clip_id"].to_pylist(), strict=True)
    wanted = {clip_id for stage, clip_id in dropped if stage == STAGE} - set(rows)
    for ancestor in _ancestors(dataset, parent) if wanted else ():
        there = {shard.sha256: shard for shard in ancestor.shards}
        for row in read_clips(dataset, ancestor).to_pylist():
            if row["clip_id"] in wanted and storage.exists(storage.join(dataset, "shards", f"{row['shard']}.tar")):
                rows[row["clip_id"]] = row
                shards.setdefault(row["shard"], there[row["shard"]])
                wanted.remove(row["clip_id"])
        if not wanted:
            break
    ordered = sorted(rows.values(), key=lambda row: (row["source_id"], row["start_s"], row["clip_id"]))
    return {row["clip_id"]: row for row in ordered}, list(shards.values()), len(wanted)


def _ancestors(dataset: str, manifest: Manifest) -> Iterator[Manifest]:
    """Parents, nearest first, as far back as they are kept."""
    while manifest.parent and storage.exists(storage.join(dataset, "manifests", f"{manifest.parent}.json")):
        manifest = load_manifest(dataset, manifest.parent)
        yield manifest


@dataclass(frozen=True)
class _Why:
    reason: str
    detail: str
    duplicate_of: str = ""


def _spoken_against(rows: Mapping[str, Row], limits: Limits, *, keep_all: bool) -> dict[str, _Why]:
    """Why clips go; labels speak for a clip, whatever its scores. Brings each row's verdicts up to date on the way."""
    why = {}
    for clip_id, row in rows.items():
        scores = {name: row[name] for name in SCORES if name in row}
        against = verdicts(scores, row["frames"], limits)
        row["verdicts"] = list(against)
        if against and not keep_all and not _is_labelled(row):
            known = ", ".join(f"{name} {value:.3g}" for name, value in scores.items() if not np.isnan(value))
            why[clip_id] = _Why(against[0], f"{row['frames']} frames, {known}")
    return why


def _is_labelled(row: Row) -> bool:
    """Whether a clip has boxes that people made."""
    return bool(row["labelled"]) and row["seed_source"] != PSEUDO


def _benchmarked(rows: Mapping[str, Row], exclude: Sequence[str]) -> dict[str, _Why]:
    benchmarks = load_benchmarks([absolute(root) for root in exclude], settings().work / "benchmark-hashes")
    shown = {clip_id: benchmarks.shown_in(hashes_of(row["phash"])) for clip_id, row in rows.items()}
    return {
        clip_id: _Why("overlaps_benchmark", f"shows what the sequence {name} shows", name)
        for clip_id, name in shown.items()
        if name
    }


def _repeated(rows: Mapping[str, Row], sources: pa.Table, rule: MatchRule) -> dict[str, _Why]:
    sizes = {row["source_id"]: row["width"] * row["height"] for row in sources.to_pylist()}
    best = sorted(
        (row for row in rows.values() if not _is_labelled(row)),
        key=lambda row: (-sizes[row["source_id"]], -np.nan_to_num(row["sharpness"]), row["clip_id"]),
    )
    found = repeats({row["clip_id"]: hashes_of(row["phash"]) for row in best}, 0, rule)
    return {clip_id: _Why(repeat.reason, repeat.detail, repeat.duplicate_of) for clip_id, repeat in found.items()}


def _tables(
    tables: Tables,
    stored: Mapping[str, Row],
    why: Mapping[str, _Why],
    after: set[str],
    parent: Manifest,
    config: IngestConfig,
) -> Tables:
    clips = pa.Table.from_pylist([row for key, row in stored.items() if key in after], tables.clips.schema)
    uris = dict(zip(*(tables.sources[name].to_pylist() for name in ("source_id", "source_uri")), strict=True))
    fresh = [
        Reject(
            row["source_id"],
            uris.get(row["source_id"], ""),
            STAGE,
            why[key].reason,
            why[key].detail,
            row["config"],
            row["start_s"],
            row["end_s"],
            key,
            why[key].duplicate_of,
        )
        for key, row in stored.items()
        if key in why
    ]
    kept = tables.rejects.filter(
        pa.array(
            [row["stage"] != STAGE or row["clip_id"] not in stored for row in tables.rejects.to_pylist()], pa.bool_()
        )
    )
    rejects = pa.concat_tables([kept, reject_rows(fresh)])
    return Tables(clips, rejects, _marked(tables.sources, parent, config))


def _marked(sources: pa.Table, parent: Manifest, config: IngestConfig) -> pa.Table:
    """The sources; those cut under the parent's settings get the new ones where an ingest under these would keep
    the same clips: with nothing loosened, that is, or nothing dropped before. So such an ingest finds them done."""
    old = IngestConfig.model_validate(parent.config)
    stricter = all(getattr(config, name) >= getattr(old, name) for name in _RAISE)
    stricter &= all(getattr(config, name) <= getattr(old, name) for name in _LOWER)
    if not (stricter or old.score_only):
        return sources
    column = [config.digest if digest == old.digest else digest for digest in sources["config"].to_pylist()]
    return sources.set_column(sources.schema.get_field_index("config"), "config", pa.array(column, pa.string()))
