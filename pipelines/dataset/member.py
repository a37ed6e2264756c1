"""One dataset of a mixture: its clips in their order, and how one of them becomes a sample on a canvas."""

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.dataset.cache import ShardCache
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.drawing import Drawn, choose, needs_record, paint
from pipelines.dataset.draws import seed_words
from pipelines.dataset.manifest import load_manifest
from pipelines.dataset.orders import order_named
from pipelines.dataset.reader import ShardReader
from pipelines.dataset.samples import sample_clips
from pipelines.errors import SSTrackError
from pipelines.settings import settings
from sstrack.configs.data import DataConfig

_NEAR = 64
"""Clips around one in the table that are likely at hand where it is."""


class Member:
    """The samples of one dataset at one manifest."""

    def __init__(self, source: Dataset, config: DataConfig, seed: int) -> None:
        dataset, manifest = source.uri, source.manifest
        described = load_manifest(dataset, manifest)
        self.dataset, self.data_digest = dataset, described.data_digest
        self._config, self._seed = config, seed
        self._rows = rows = sample_clips(dataset, manifest, source.held_out, source.use)
        self._order = order_named(config.order, len(rows), self.data_digest, seed) if rows else None
        here, remote = settings(), not storage.is_local(dataset)
        self._cache = ShardCache(Path(here.cache), here.cache_bytes) if remote else None
        self._window: tuple[range, ...] = ()
        sizes = {shard.sha256: shard.bytes for shard in described.shards}
        self.cache_bytes = self._room(sizes) if remote else 0
        """Room that the window in use and the one that is read ahead may take on the disk."""
        self.reader = ShardReader(dataset, sizes, self._fetch if remote else None)
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
                self._cache.read_ahead(self.dataset, self._shards_of((*here, *after)))
        return self._order.clip(sample)

    def substitute(self, clip: int, rng: np.random.Generator) -> int:
        """Another clip, drawn among its neighbours, as those are at hand."""
        near = [number for number in range(max(0, clip - _NEAR), min(len(self), clip + _NEAR)) if number != clip]
        # Half of the draws go anywhere: a whole shard may be damaged.
        if near and rng.random() < 0.5:
            return int(rng.choice(near))
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

    def _shards_of(self, stretches: Iterable[range]) -> list[str]:
        """Shards in which these rows of the table lie, in that order."""
        return list(dict.fromkeys(self._rows[clip]["shard"] for stretch in stretches for clip in stretch))

    def _room(self, sizes: Mapping[str, int]) -> int:
        """Bytes of the shards of any two windows that follow each other, at most."""
        if self._order is None:
            return 0

        def together(stretches: Iterable[range]) -> int:
            return sum(sizes.get(shard, 0) for shard in self._shards_of(stretches))

        each = sorted((together([stretch]) for stretch in self._order.stretches), reverse=True)
        return min(sum(each[: 2 * self._order.window]), together(self._order.stretches))

    def _fetch(self, shard: str) -> int:
        assert self._cache is not None
        return self._cache.open(self.dataset, shard)


def require_room(wanted: Mapping[str, int], order: str) -> None:
    """Raise SSTrackError for a cache smaller than these datasets take of it together: dataset -> bytes."""
    limit, total = settings().cache_bytes, sum(wanted.values())
    if total > limit:
        less = "--set data.order=windowed, which needs less of it, or " if order == "whole" else ""
        raise SSTrackError(
            f"{', '.join(dataset for dataset, size in wanted.items() if size)}: {total / 2**30:.1f} GiB of cache are "
            f"needed to show their clips in the order {order}, and SSTRACK_CACHE_BYTES allows {limit / 2**30:.1f}; "
            f"raise it, or train with {less}--set data.reading=streaming"
        )
