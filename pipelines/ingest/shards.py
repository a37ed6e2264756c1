"""Packs to shards: which clips share a tar, and the tars, in WebDataset form and byte for byte repeatable."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines import storage
from pipelines.dataset import index
from pipelines.dataset.manifest import Shard, canonical_json
from pipelines.ingest.pack import Pack, Place
from sstrack.clips.clip import Clip

_BLOCK = 512


@dataclass(frozen=True)
class Member:
    """One clip on its way into a shard: its JPEGs lie at `places` in the file `frames`."""

    clip: Clip
    frames: Path
    places: tuple[Place, ...]


def plan(packs: Sequence[Pack], limit: int) -> Iterator[list[Member]]:
    """Group all clips, pack after pack, into shards of at most `limit` bytes (or one clip), each sorted by clip id."""
    group: list[Member] = []
    size = 0
    for pack in packs:
        for clip, places in pack.clips:
            more = sum(2 * _BLOCK + length for _, length in places) + 4 * _BLOCK
            if group and size + more > limit:
                yield sorted(group, key=lambda member: member.clip.clip_id)
                group, size = [], 0
            group.append(Member(clip, pack.frames, places))
            size += more
    if group:
        yield sorted(group, key=lambda member: member.clip.clip_id)


def write_shard(dataset: str, members: Sequence[Member], scratch: Path) -> Shard:
    """Write one shard and its index under the sha256 of the tar; one that is there already is left alone."""
    # webdataset imports torch, two seconds that a run with nothing to write should not pay
    from webdataset.writer import TarWriter

    draft = scratch / f"shard.{os.getpid()}.tar"
    with storage.explained(dataset):
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("wb") as file:
                with TarWriter(file, user="", group="", mode=0o644, mtime=0, encoder=False) as tar:
                    for member in members:
                        tar.write(_sample(member))
                file.flush()
                os.fsync(file.fileno())
            sha256 = storage.sha256_file(str(draft))
            size = draft.stat().st_size
            spans = index.scan_tar(draft)
            folder = storage.local_path(storage.join(dataset, "shards"))
            folder.mkdir(parents=True, exist_ok=True)
            storage.put_if_absent(str(folder / f"{sha256}.idx"), index.format_index(spans))
            storage.keep_if_absent(draft, folder / f"{sha256}.tar")
        finally:
            draft.unlink(missing_ok=True)
    return Shard(sha256, size, len(members), sum(len(member.places) for member in members))


def _sample(member: Member) -> dict[str, str | bytes]:
    sample: dict[str, str | bytes] = {"__key__": member.clip.clip_id, "json": canonical_json(member.clip.as_dict())}
    with member.frames.open("rb") as file:
        for number, (offset, size) in enumerate(member.places):
            file.seek(offset)
            sample[f"{number:04d}.jpg"] = file.read(size)
    return sample
