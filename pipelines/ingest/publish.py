"""Packs to a published dataset: shards, tables, manifest, HEAD, in this order. The parent's shards are shared."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.dataset import manifest as manifests
from pipelines.dataset.manifest import Manifest, Totals
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.pack import Pack, tool_versions
from pipelines.ingest.reject import Reject
from pipelines.ingest.shards import plan, write_shard
from pipelines.ingest.tables import CLIPS, REJECTS, SOURCES, clip_rows, reject_rows, source_rows, without_sources


@dataclass(frozen=True)
class Tables:
    """The three tables of a dataset."""

    clips: pa.Table
    rejects: pa.Table
    sources: pa.Table


def read_tables(dataset: str, manifest: Manifest | None) -> Tables:
    """The tables of a manifest; empty ones for None."""
    if manifest is None:
        return Tables(CLIPS.empty_table(), REJECTS.empty_table(), SOURCES.empty_table())
    return Tables(
        manifests.read_clips(dataset, manifest),
        manifests.read_rejects(dataset, manifest),
        manifests.read_sources(dataset, manifest),
    )


def publish(
    dataset: str,
    parent: Manifest | None,
    before: Tables,
    packs: Sequence[Pack],
    extra: Sequence[Reject],
    config: IngestConfig,
    scratch: Path,
) -> Manifest:
    """Append `packs` (and reject rows `extra`) to the dataset and commit. A source that was there under other settings
    is replaced. The bytes depend on the packs and the parent alone, not on the order of work or on interruptions."""
    packs = sorted(packs, key=lambda pack: pack.source.source_id)
    replaced = [pack.source.source_id for pack in packs]
    new_shards = []
    new_clips = []
    for members in plan(packs, int(config.shard_mib * 2**20)):
        shard = write_shard(dataset, members, scratch)
        new_shards.append(shard)
        new_clips.append((shard.sha256, [member.clip for member in members]))
    rejects = [reject for pack in packs for reject in pack.rejects]
    rejects += sorted(extra, key=lambda reject: (reject.source_id, reject.source_uri))
    tables = Tables(
        pa.concat_tables([without_sources(before.clips, replaced), clip_rows(new_clips)]).combine_chunks(),
        pa.concat_tables([without_sources(before.rejects, replaced), reject_rows(rejects)]).combine_chunks(),
        pa.concat_tables(
            [without_sources(before.sources, replaced), source_rows(pack.source for pack in packs)]
        ).combine_chunks(),
    )
    used = set(tables.clips["shard"].to_pylist())
    shards = {
        shard.sha256: shard for shard in (*(parent.shards if parent else ()), *new_shards) if shard.sha256 in used
    }
    draft = Manifest(
        digest="",
        shards=tuple(shards.values()),
        clips_table=manifests.put_table(dataset, tables.clips, "clips"),
        rejects_table=manifests.put_table(dataset, tables.rejects, "rejects"),
        sources_table=manifests.put_table(dataset, tables.sources, "sources"),
        config=config.model_dump(),
        config_digest=config.digest,
        tools=tool_versions(),
        parent=parent.digest if parent else None,
        totals=_totals(tables, sum(shard.bytes for shard in shards.values())),
    )
    return manifests.publish(dataset, draft)


def _totals(tables: Tables, size: int) -> Totals:
    clips, sources = tables.clips.to_pydict(), tables.sources.to_pydict()
    return Totals(
        sources=tables.sources.num_rows,
        clips=tables.clips.num_rows,
        frames=sum(clips["frames"]),
        bytes=size,
        seconds_in=round(sum(sources["seconds"]), 3),
        seconds_kept=round(sum(clips["end_s"]) - sum(clips["start_s"]), 3),
        rejects=dict(sorted(Counter(tables.rejects["reason"].to_pylist()).items())),
    )
