"""One dataset of a mixture: its clips in their order, and how one of them becomes a sample on a canvas."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.dataset.cache import ShardCache
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.drawing import Drawn, choose, needs_record, paint
from pipelines.dataset.manifest import load_manifest
from pipelines.dataset.order import SampleOrder, seed_words
from pipelines.dataset.reader import ShardReader
from pipelines.dataset.samples import sample_clips
from pipelines.errors import SSTrackError
from pipelines.settings import settings
from sstrack.configs.data import DataConfig

WINDOW = 16
"""Shards that are shuffled together where a dataset is read through the cache."""


class Part:
    """The samples of one dataset at one manifest."""

    def __init__(self, source: Dataset, config: DataConfig, seed: int) -> None:
        dataset, manifest = source.uri, source.manifest
        described = load_manifest(dataset, manifest)
        remote = not storage.is_local(dataset)
        self.dataset, self.data_digest = dataset, described.data_digest
        self._config, self._seed = config, seed
        rows = sample_clips(dataset, manifest, source.held_out, source.use)
        if remote:
            # Windows are made of shards: the clips of one have to be neighbours.
            rows = sorted(rows, key=lambda row: row["shard"])
        self._rows = rows
        self._shards = sorted({row["shard"] for row in rows})
        counts = dict.fromkeys(self._shards, 0)
        for row in rows:
            counts[row["shard"]] += 1
        self._order = (
            SampleOrder(len(rows), self.data_digest, seed, list(counts.values()) if remote else None, WINDOW)
            if rows
            else None
        )
        here = settings()
        self._cache = ShardCache(Path(here.cache), here.cache_bytes) if remote else None
        largest_first = sorted((shard.bytes for shard in described.shards), reverse=True)
        self.cache_bytes = sum(largest_first[: 2 * WINDOW]) if remote else 0
        """Room that the window in use and the one that is read ahead may take on the disk."""
        self._window: list[int] = []
        self.reader = ShardReader(
            dataset, {shard.sha256: shard.bytes for shard in described.shards}, self._fetch if remote else None
        )
        largest = (max((row[side] for row in rows), default=1) for side in ("height", "width"))
        self.canvas: tuple[int, int] = (
            (config.canvas_height, config.canvas_width) if config.canvas_width else tuple(largest)  # type: ignore[assignment]
        )

    def __len__(self) -> int:
        return len(self._rows)

    def clip(self, sample: int) -> int:
        """The clip that this dataset's sample of that number shows; the shards of its window begin to come."""
        assert self._order is not None
        if self._cache is not None:
            here, after = islice(self._order.windows(sample), 2)
            if here != self._window:
                self._window = here
                self._cache.read_ahead(self.dataset, [self._shards[shard] for shard in (*here, *after)])
        return self._order.clip(sample)

    def substitute(self, clip: int, rng: np.random.Generator) -> int:
        """Another clip, drawn from the same shard where it has one, as that is at hand."""
        shard = self._rows[clip]["shard"]
        near = [number for number in range(max(0, clip - 64), min(len(self), clip + 64)) if number != clip]
        same = [number for number in near if self._rows[number]["shard"] == shard]
        # Half of the draws go anywhere: a whole shard may be damaged.
        if same and rng.random() < 0.5:
            return int(rng.choice(same))
        return int(rng.integers(len(self)))

    def clip_id(self, clip: int) -> str:
        return self._rows[clip]["clip_id"]

    def draw(self, clip: int, sample: int, canvas: NDArray[np.uint8]) -> Drawn:
        """Decode the frames of a sample into `canvas` [1 + n_search, H, W, 3].

        Raises UnusableSample or DamagedFrame where this clip cannot serve, SSTrackError where its shard cannot.
        """
        row = self._rows[clip]
        clip_file = self.reader.clip(row["shard"], row["clip_id"], row["frames"])
        rng = np.random.default_rng(seed_words("frames", self.data_digest, self._seed, sample))
        record = clip_file.record() if needs_record(row, self._config) else None
        return paint(choose(row, record, self._config, rng), clip_file.frame, canvas)

    def close(self) -> None:
        if self._cache is not None:
            self._cache.close()

    def _fetch(self, shard: str) -> int:
        assert self._cache is not None
        return self._cache.open(self.dataset, shard)


def require_room(wanted: Mapping[str, int]) -> None:
    """Raise SSTrackError for a cache smaller than these datasets take of it together: dataset -> bytes."""
    limit, total = settings().cache_bytes, sum(wanted.values())
    if total > limit:
        raise SSTrackError(
            f"{', '.join(dataset for dataset, size in wanted.items() if size)}: {total / 2**30:.1f} GiB of cache are "
            f"needed, for the {2 * WINDOW} largest shards of each, and SSTRACK_CACHE_BYTES allows "
            f"{limit / 2**30:.1f}; raise it, or train with --set data.reading=streaming"
        )
