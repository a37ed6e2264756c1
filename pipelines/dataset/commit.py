"""The commit of a dataset: tables, then the manifest, then HEAD, which moves only from the parent it was made on."""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.dataset.manifest import (
    Manifest,
    Shard,
    Totals,
    load_manifest,
    read_clips,
    read_rejects,
    read_sources,
)
from pipelines.errors import SSTrackError


class HeadMoved(SSTrackError):
    """Somebody else published since the parent was read. Nothing is lost: publish again on top of the new HEAD."""


@dataclass(frozen=True)
class Tables:
    """The three tables of a dataset."""

    clips: pa.Table
    rejects: pa.Table
    sources: pa.Table


def read_tables(dataset: str, manifest: Manifest) -> Tables:
    """The tables of a manifest."""
    return Tables(read_clips(dataset, manifest), read_rejects(dataset, manifest), read_sources(dataset, manifest))


def publish_child(
    dataset: str,
    parent: Manifest | None,
    tables: Tables,
    shards: Iterable[Shard],
    config: Mapping[str, object],
    config_digest: str,
    tools: Mapping[str, str],
) -> Manifest:
    """Commit a manifest that follows `parent` (None: the dataset's first) and return it.

    Args:
        dataset: the dataset's folder, local or s3://.
        parent: the manifest that HEAD names now; HEAD moves only if it still does.
        tables: all rows of the new manifest. Row order of the clips is the order that trainings shuffle.
        shards: shards in place already; those that no clip lies in are not named.
        config: what to record as the settings behind the manifest.
        config_digest: their digest.
        tools: versions of what made the bytes.

    Raises HeadMoved where another publisher was faster, SSTrackError where storage refuses. Either way HEAD still names
    a whole dataset.
    """
    used = set(tables.clips["shard"].to_pylist())
    named = {shard.sha256: shard for shard in shards if shard.sha256 in used}
    if missing := used - set(named):
        raise ValueError(f"publish_child.shards lacks {sorted(missing)}, which the clips table names")
    draft = Manifest(
        digest="",
        data_digest=data_digest(tables.clips),
        shards=tuple(named.values()),
        clips_table=put_table(dataset, tables.clips, "clips"),
        rejects_table=put_table(dataset, tables.rejects, "rejects"),
        sources_table=put_table(dataset, tables.sources, "sources"),
        config=config,
        config_digest=config_digest,
        tools=tools,
        parent=parent.digest if parent else None,
        totals=_totals(tables, sum(shard.bytes for shard in named.values())),
    )
    data = draft.to_json()
    digest = hashlib.sha256(data).hexdigest()
    storage.put_if_absent(storage.join(dataset, "manifests", f"{digest}.json"), data)
    _move_head(dataset, parent.digest if parent else None, digest)
    return load_manifest(dataset, digest)


def _move_head(dataset: str, before: str | None, after: str) -> None:
    uri = storage.join(dataset, "HEAD")
    if not storage.swap(uri, f"{before}\n".encode() if before else None, f"{after}\n".encode()):
        raise HeadMoved(
            f"another publisher moved {uri} while this one worked on {before or 'an empty dataset'}; nothing is lost: "
            "run the same command again, and it goes on from the new manifest."
        )


def put_table(dataset: str, table: pa.Table, kind: str) -> str:
    """Write a table under the sha256 of its bytes, and return that."""
    sink = io.BytesIO()
    pq.write_table(table.combine_chunks(), sink, compression="zstd")
    data = sink.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    storage.put_if_absent(storage.join(dataset, "tables", f"{sha256}.{kind}.parquet"), data)
    return sha256


def data_digest(clips: pa.Table) -> str:
    """Hex sha256 over all rows of a clips table in their order, without the shards that they lie in."""
    digest = hashlib.sha256()
    for batch in clips.drop_columns(["shard"]).to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            digest.update(json.dumps(row, sort_keys=True, default=bytes.hex).encode())
    return digest.hexdigest()


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


def with_shards(clips: pa.Table, shard_of: Mapping[str, str]) -> pa.Table:
    """The clips table with each clip's shard replaced by `shard_of[clip_id]`."""
    column = pa.array([shard_of[clip_id] for clip_id in clips["clip_id"].to_pylist()], pa.string())
    return clips.set_column(clips.schema.get_field_index("shard"), "shard", column)
