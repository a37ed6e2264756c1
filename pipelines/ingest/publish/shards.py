"""Packs to shards: which clips share a tar, in an order that only the packs decide."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines import storage
from pipelines.dataset.manifest import canonical_json
from pipelines.dataset.tars import Sample
from pipelines.ingest.pack import Pack, Place
from sstrack.clips.clip import Clip

_BLOCK = 512


@dataclass(frozen=True)
class Member:
    """One clip on its way into a shard: its JPEGs lie at `places` in the file `frames` (a URI)."""

    clip: Clip
    frames: str
    places: tuple[Place, ...]

    def sample(self) -> Sample:
        """The clip's JSON and JPEGs. All its places are read at once, as they lie one after the other."""
        start = min(offset for offset, _ in self.places)
        end = max(offset + size for offset, size in self.places)
        data = storage.read_range(self.frames, start, end - start)
        pictures = {
            f"{number:04d}.jpg": data[offset - start : offset - start + size]
            for number, (offset, size) in enumerate(self.places)
        }
        return {**pictures, "json": canonical_json(self.clip.as_dict())}


def plan(packs: Sequence[Pack], limit: int) -> Iterator[list[Member]]:
    """Group all clips, pack after pack, into shards of at most `limit` bytes (or one clip)."""
    group: list[Member] = []
    size = 0
    for pack in packs:
        for clip, places in pack.clips:
            more = sum(2 * _BLOCK + length for _, length in places) + 4 * _BLOCK
            if group and size + more > limit:
                yield group
                group, size = [], 0
            group.append(Member(clip, pack.frames, places))
            size += more
    if group:
        yield group
