"""One rank of a streamed training as a process of its own would read it."""

import hashlib

from pipelines.dataset.dataset import Dataset
from pipelines.dataset.streaming import StreamLoader
from sstrack.configs.data import DataConfig
from sstrack.objectives.base import ClipBatch

CONFIG = DataConfig(group_size=2, groups=3, n_search=1, reading="streaming", stream_per_clip=2, stream_shuffle=3)

Seen = dict[tuple[int, int], str]


def fingerprint(batch: ClipBatch) -> str:
    return ",".join(batch.clip_ids) + hashlib.sha256(batch.frames.numpy().tobytes()).hexdigest()


def read_as(rank: int, world: int, uri: str, manifest: str, first: int, last: int) -> tuple[Seen, int]:
    """The batches of a rank's groups in steps `first` to `last`, and how many shards it fetched for them."""
    loader = StreamLoader(Dataset(uri, manifest), CONFIG, 1)
    mine = [(step, group) for step in range(first, last) for group in range(rank, CONFIG.groups, world)]
    seen = {key: fingerprint(batch) for key, batch in zip(mine, loader.groups(mine), strict=True)}
    loader.close()
    assert loader._cache is not None
    return seen, loader._cache.fetched
