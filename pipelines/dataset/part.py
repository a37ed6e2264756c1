"""One dataset of a mixture: its clips in their order, and how one of them becomes a sample on a canvas."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.dataset.cache import ShardCache
from pipelines.dataset.canvas import decode_onto
from pipelines.dataset.labels import frame_boxes
from pipelines.dataset.manifest import load_manifest
from pipelines.dataset.order import SampleOrder, seed_words
from pipelines.dataset.reader import DamagedFrame, ShardReader
from pipelines.dataset.samples import UnusableSample, choose_frames, sample_clips
from pipelines.settings import settings
from sstrack.clips.clip import Clip
from sstrack.recipes import DataConfig

WINDOW = 16
"""Shards that are shuffled together where a dataset is read through the cache."""


@dataclass(frozen=True)
class Drawn:
    """What a sample is besides its pixels; `boxes` float32 [1 + n_search, 4] xywh, NaN where there is no label."""

    clip_id: str
    size: tuple[int, int]
    seed: tuple[float, float, float, float]
    boxes: NDArray[np.float32]


class Part:
    """The samples of one dataset at one manifest."""

    def __init__(self, dataset: str, manifest: str, config: DataConfig, seed: int) -> None:
        described = load_manifest(dataset, manifest)
        remote = not storage.is_local(dataset)
        self.dataset, self.data_digest = dataset, described.data_digest
        self._config, self._seed = config, seed
        rows = sample_clips(dataset, manifest)
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
        row, config = self._rows[clip], self._config
        place = (row["shard"], row["clip_id"], row["frames"])
        rng = np.random.default_rng(seed_words("frames", self.data_digest, self._seed, sample))
        record = self.reader.record(*place) if row["labelled"] or config.seed_choice == "ranked" else None
        visible = record.visible if record is not None and record.visible is not None else [True] * row["frames"]
        numbers = choose_frames(visible, config.n_search, config.max_gap, rng)
        factor, size = 1.0, (0, 0)
        for place_in_sample, number in enumerate(numbers):
            if place_in_sample and number == numbers[place_in_sample - 1]:
                canvas[place_in_sample] = canvas[place_in_sample - 1]
                continue
            width, height, factor = decode_onto(self.reader.frame(*place, number), canvas[place_in_sample])
            if (abs(width - row["width"] * factor) >= 1) or (abs(height - row["height"] * factor) >= 1):
                raise DamagedFrame(f"frame {number} is not {row['width']}x{row['height']}")
            size = (width, height)
        seed = np.array(self._seed_box(row, record, numbers[0], rng), np.float64) * factor
        labels = frame_boxes(record) if record is not None else np.full((row["frames"], 4), np.nan, np.float32)
        boxes = labels[numbers] * np.float32(factor)
        x, y, w, h = seed.tolist()
        return Drawn(row["clip_id"], size, (x, y, w, h), boxes)

    def _seed_box(self, row: dict, record: Clip | None, first: int, rng: np.random.Generator) -> tuple[float, ...]:
        """The box a sample starts from: the label where a labelled clip starts late, else one of the seed boxes."""
        if first:
            box = record.boxes[first] if record is not None and record.boxes is not None else None
            if box is None:
                raise UnusableSample("no box on the first visible frame")
            return box
        if self._config.seed_choice == "ranked" and record is not None and record.seed_boxes:
            scores = np.array([max(seed.score, 1e-6) for seed in record.seed_boxes])
            return record.seed_boxes[int(rng.choice(len(scores), p=scores / scores.sum()))].box
        return tuple(row[f"seed_{name}"] for name in "xywh")

    def close(self) -> None:
        if self._cache is not None:
            self._cache.close()

    def _fetch(self, shard: str) -> int:
        assert self._cache is not None
        return self._cache.open(self.dataset, shard)
