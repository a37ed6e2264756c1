"""Packs to a published dataset: shards, tables, manifest, HEAD, in this order. The parent's shards are shared."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from pipelines.dataset.commit import Tables, publish_child, read_tables
from pipelines.dataset.manifest import Manifest
from pipelines.dataset.tars import write_shard
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.pack import Pack, tool_versions
from pipelines.ingest.publish.shards import plan
from pipelines.ingest.publish.tables import (
    CLIPS,
    REJECTS,
    SOURCES,
    clip_rows,
    reject_rows,
    source_rows,
    without_sources,
)
from pipelines.ingest.reject import Reject


def tables_of(dataset: str, manifest: Manifest | None) -> Tables:
    """The tables of a manifest; empty ones for None."""
    if manifest is None:
        return Tables(CLIPS.empty_table(), REJECTS.empty_table(), SOURCES.empty_table())
    tables = read_tables(dataset, manifest)
    if "treated" in tables.sources.column_names:
        return tables
    nothing = pa.array([[]] * tables.sources.num_rows, SOURCES.field("treated").type)
    return replace(tables, sources=tables.sources.append_column("treated", nothing))


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
    is replaced. The bytes depend on the packs and the parent alone, not on the order of work or on interruptions.

    Clips follow each other in the table as their sources' digests sort, and in each source in time.
    Raises as `publish_child` does.
    """
    packs = sorted(packs, key=lambda pack: pack.source.source_id)
    replaced = [pack.source.source_id for pack in packs]
    shards = []
    rows = []
    for members in plan(packs, int(config.shard_mib * 2**20)):
        by_id = sorted(members, key=lambda member: member.clip.clip_id)
        shard, digests = write_shard(dataset, ((member.clip.clip_id, member.sample()) for member in by_id), scratch)
        shards.append(shard)
        rows += [(member.clip, shard.sha256, digests[member.clip.clip_id]) for member in members]
    rejects = [reject for pack in packs for reject in pack.rejects]
    rejects += sorted(extra, key=lambda reject: (reject.source_id, reject.source_uri))
    tables = Tables(
        pa.concat_tables([without_sources(before.clips, replaced), clip_rows(rows)]),
        pa.concat_tables([without_sources(before.rejects, replaced), reject_rows(rejects)]),
        pa.concat_tables([without_sources(before.sources, replaced), source_rows(pack.source for pack in packs)]),
    )
    return publish_child(
        dataset,
        parent,
        tables,
        [*(parent.shards if parent else ()), *shards],
        config.model_dump(),
        config.digest,
        tool_versions(),
    )
