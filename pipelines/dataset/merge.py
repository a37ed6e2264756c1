"""One shard out of others: the clips that the table still names, byte for byte, and nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from pipelines.dataset.manifest import Shard
from pipelines.dataset.tars import Sample, TarReader, write_shard
from pipelines.errors import SSTrackError


def merge_shards(
    dataset: str, group: Sequence[str], shard_of: dict[str, str], digests: Mapping[str, str], scratch: Path
) -> Shard:
    """Write one shard with the clips of those in `group`; `shard_of` then names it for them.

    Args:
        dataset: its folder, local or s3://.
        group: sha256 of the shards to read.
        shard_of: shard by clip id, of the clips that stay.
        digests: the sha256 of each clip's bytes, from the clips table.
        scratch: local folder for drafts.

    Raises SSTrackError where a clip's bytes are not those of the table.
    """
    members = set(group)
    clips = sorted(clip_id for clip_id, shard in shard_of.items() if shard in members)
    with ExitStack() as stack:
        tars = {name: stack.enter_context(TarReader(dataset, name, scratch)) for name in group}

        def samples() -> Iterator[tuple[str, Sample]]:
            for clip_id in clips:
                yield clip_id, tars[shard_of[clip_id]].sample(clip_id)

        merged, found = write_shard(dataset, samples(), scratch)
    for clip_id in clips:
        if found[clip_id] != digests[clip_id]:
            raise SSTrackError(
                f"{dataset}: clip {clip_id} in shard {shard_of[clip_id][:12]} is damaged, its bytes do not match the "
                "clips table; restore the shard from a copy. Nothing was published."
            )
        shard_of[clip_id] = merged.sha256
    return merged
