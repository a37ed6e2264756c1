"""Merge small shards: the same clips in the same order, in fewer and fuller tars, as a child manifest."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.dataset.commit import publish_child, read_tables, with_shards
from pipelines.dataset.manifest import Shard, load_manifest
from pipelines.dataset.merge import merge_shards
from pipelines.dataset.writing import scratch_of, writing

_SMALL = 0.5
"""Shards below this share of the wanted size are merged."""


def compact(dataset: str, shard_mib: float = 192.0) -> dict[str, Any]:
    """Merge shards of less than half of `shard_mib`, and drop from shards what no clip of the newest manifest uses.

    The old shards stay for the manifests that name them, until `prune`. Returns
    `{"manifest", "published", "shards_before", "shards_after"}`; with nothing to merge nothing is published. Raises
    SSTrackError where a shard is damaged or another publisher was faster.
    """
    with writing(dataset, "compact"):
        before = manifest = load_manifest(dataset)
        tables = read_tables(dataset, manifest)
        rows = tables.clips.select(["clip_id", "shard", "sha256"]).to_pylist()
        shard_of = {row["clip_id"]: row["shard"] for row in rows}
        digests = {row["clip_id"]: row["sha256"] for row in rows}
        shards = {shard.sha256: shard for shard in manifest.shards}
        groups = plan(list(dict.fromkeys(shard_of.values())), shards, Counter(shard_of.values()), shard_mib * 2**20)
        if groups:
            for group in groups:
                merged = merge_shards(dataset, group, shard_of, digests, scratch_of(dataset))
                shards[merged.sha256] = merged
            manifest = publish_child(
                dataset,
                manifest,
                type(tables)(with_shards(tables.clips, shard_of), tables.rejects, tables.sources),
                [shards[name] for name in dict.fromkeys(shard_of.values())],
                manifest.config,
                manifest.config_digest,
                manifest.tools,
            )
    return {
        "manifest": manifest.digest,
        "published": manifest is not before,
        "shards_before": len(before.shards),
        "shards_after": len(manifest.shards),
    }


def plan(order: Sequence[str], shards: Mapping[str, Shard], used: Mapping[str, int], limit: float) -> list[list[str]]:
    """Which shards become one: small ones, in table order, up to `limit` bytes together.

    A shard that holds clips which are not `used` any more is written again even alone.
    """
    groups: list[list[str]] = []
    size = 0.0
    for name in order:
        shard = shards[name]
        live = shard.bytes * used[name] / shard.clips
        if live >= _SMALL * limit and used[name] == shard.clips:
            continue
        if groups and size + live <= limit:
            groups[-1].append(name)
            size += live
        else:
            groups.append([name])
            size = live
    return [group for group in groups if len(group) > 1 or used[group[0]] < shards[group[0]].clips]
