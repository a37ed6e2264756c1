"""`withdraw`: take a source out of a dataset for good, and publish a child manifest without any of its clips.

Shards that hold its clips are written anew without them, so that none of the child's files contains them. The files of
older manifests are left to `prune --keep`.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from pipelines import storage
from pipelines.dataset.commit import Tables, publish_child, read_tables, with_shards
from pipelines.dataset.manifest import Manifest, load_manifest
from pipelines.dataset.merge import merge_shards
from pipelines.dataset.writing import scratch_of, writing
from pipelines.errors import SSTrackError, UsageError
from pipelines.ingest.find.sources import label
from pipelines.ingest.publish.tables import reject_rows, without_sources
from pipelines.ingest.state import withdrawn
from pipelines.settings import absolute

log = logging.getLogger(__name__)

_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Withdrawal:
    """What a withdrawal did. `clips` and `shards` count what went and what was written anew; `published` is False where
    the source had been withdrawn before."""

    manifest: str
    parent: str | None
    published: bool
    source: str
    names: tuple[str, ...]
    clips: int
    shards: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def withdraw(dataset: str, source: str, reason: str) -> Withdrawal:
    """Publish a child of the newest manifest without the clips of one source; once, however often it is given.

    Later ingests leave the source out, under whatever settings and name. The same pictures in another file are another
    source.

    Args:
        dataset: a dataset's folder or s3:// prefix.
        source: the sha256 of the video, a file that holds it, or a name that it was ingested under.
        reason: why, kept in the rejects table; at most 500 characters.

    Raises UsageError for a word that names no source, SSTrackError for one that the dataset does not know or where
    nothing would be left, and HeadMoved where somebody else published meanwhile.
    """
    if not reason.strip():
        raise UsageError("--reason is empty; say why, it is kept with the dataset")
    dataset = absolute(dataset)
    with writing(dataset, withdrawn.STAGE):
        parent = load_manifest(dataset)
        tables = read_tables(dataset, parent)
        source_id = _known(dataset, source, tables)
        if source_id in withdrawn.withdrawn(tables.rejects):
            return Withdrawal(parent.digest, parent.parent, False, source_id, _names(tables, source_id), 0, 0)
        return _withdraw(dataset, parent, tables, source_id, " ".join(reason.split()))


def _withdraw(dataset: str, parent: Manifest, tables: Tables, source_id: str, reason: str) -> Withdrawal:
    clips = without_sources(tables.clips, [source_id])
    gone = tables.clips.num_rows - clips.num_rows
    if not clips.num_rows:
        raise SSTrackError(f"no clip of {dataset} would be left without {source_id}; delete the dataset instead")
    touched = dict.fromkeys(_column(tables.clips, "shard", where=source_id))
    shard_of = dict(zip(clips["clip_id"].to_pylist(), clips["shard"].to_pylist(), strict=True))
    digests = dict(zip(clips["clip_id"].to_pylist(), clips["sha256"].to_pylist(), strict=True))
    shards = {shard.sha256: shard for shard in parent.shards}
    shared = [shard for shard in touched if shard in set(shard_of.values())]
    for shard in shared:
        cut = merge_shards(dataset, [shard], shard_of, digests, scratch_of(dataset))
        shards[cut.sha256] = cut
    names = _names(tables, source_id)
    row = withdrawn.row(source_id, names[0] if names else "", reason, parent.config_digest)
    child = publish_child(
        dataset,
        parent,
        Tables(
            with_shards(clips, shard_of),
            pa.concat_tables([without_sources(tables.rejects, [source_id]), reject_rows([row])]),
            _without_clips(tables.sources, source_id),
        ),
        shards.values(),
        parent.config,
        parent.config_digest,
        parent.tools,
    )
    log.info("%s: %d clips of %s withdrawn; manifest %s", dataset, gone, source_id[:12], child.digest[:12])
    return Withdrawal(child.digest, parent.digest, True, source_id, names, gone, len(shared))


def _known(dataset: str, word: str, tables: Tables) -> str:
    """The id of the source that `word` names: its sha256, else a name in the table, else a file's bytes."""
    if len(word) == 64 and set(word.lower()) <= _HEX:
        source_id = word.lower()
    else:
        name = label(absolute(word))
        by_name = {
            row["source_id"]
            for row in tables.sources.select(["source_id", "source_uri", "uris"]).to_pylist()
            if name in (row["source_uri"], *(row["uris"] or ()))
        }
        if len(by_name) > 1:
            raise UsageError(f"{word!r} names several sources, as its bytes changed: give one of {sorted(by_name)}")
        if not by_name and not storage.exists(name):
            raise UsageError(f"{word!r} is no sha256, no file, and no name that {dataset} knows a source by")
        source_id = by_name.pop() if by_name else storage.sha256_file(name)
    held = {*tables.sources["source_id"].to_pylist(), *tables.clips["source_id"].to_pylist()}
    if source_id not in held | withdrawn.withdrawn(tables.rejects):
        raise SSTrackError(f"{dataset} knows no source {source_id}: nothing to withdraw")
    return source_id


def _names(tables: Tables, source_id: str) -> tuple[str, ...]:
    """Every name that the source came under."""
    rows: list[Mapping[str, Any]] = [row for row in tables.sources.to_pylist() if row["source_id"] == source_id]
    return tuple(dict.fromkeys(name for row in rows for name in (row["source_uri"], *(row["uris"] or ()))))


def _column(table: pa.Table, name: str, *, where: str) -> list[str]:
    """Values of one column in the rows of one source."""
    pairs = zip(table[name].to_pylist(), table["source_id"].to_pylist(), strict=True)
    return [value for value, source_id in pairs if source_id == where]


def _without_clips(sources: pa.Table, source_id: str) -> pa.Table:
    """The sources; that one stays, by its digest, so that it is known when it comes again."""
    pairs = zip(sources["clips"].to_pylist(), sources["source_id"].to_pylist(), strict=True)
    column = [0 if one == source_id else clips for clips, one in pairs]
    field = sources.schema.field("clips")
    return sources.set_column(sources.schema.get_field_index("clips"), field, pa.array(column, field.type))
