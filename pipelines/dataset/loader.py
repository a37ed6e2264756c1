"""Random-access loader: the groups of clips that each training step sees, read straight from the shards.

Only the frames a sample needs are read and decoded. Group g of step s holds the global samples
`(s * groups + g) * group_size …`, whoever asks for it.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
import torch

from pipelines.dataset.index import ClipSpan, load_index
from pipelines.dataset.labels import frame_boxes, read_record
from pipelines.dataset.manifest import load_manifest
from pipelines.dataset.order import SampleOrder, seed_words
from pipelines.dataset.samples import require_groups, sample_clips
from pipelines.errors import SSTrackError
from sstrack.objectives.base import ClipBatch
from sstrack.recipes import DataConfig


class ClipLoader:
    """Groups of samples of one dataset manifest, in an order that no rank or worker count changes."""

    def __init__(self, dataset: str, manifest: str, config: DataConfig, seed: int) -> None:
        """Open a dataset folder at one manifest digest.

        Raises SSTrackError if fewer clips can serve as samples than one group holds.
        """
        require_groups(dataset, manifest, config.group_size)
        self._clips = sample_clips(dataset, manifest)
        self.dataset, self.config, self.seed = dataset, config, seed
        self._data = load_manifest(dataset, manifest).data_digest
        self._order = SampleOrder(len(self._clips), self._data, seed)
        self._indexes: dict[str, dict[str, ClipSpan]] = {}
        self._boxes: dict[str, np.ndarray] = {}
        self._canvas = (max(row["height"] for row in self._clips), max(row["width"] for row in self._clips))

    def __len__(self) -> int:
        """Clips that serve as samples."""
        return len(self._clips)

    def group(self, step: int, group: int) -> ClipBatch:
        """The batch of one group: uint8 frames `[B, 1 + n_search, 3, H, W]` on the dataset's largest canvas."""
        config = self.config
        first = (step * config.groups + group) * config.group_size
        height, width = self._canvas
        frames = np.zeros((config.group_size, 1 + config.n_search, height, width, 3), np.uint8)
        boxes = np.full((config.group_size, 1 + config.n_search, 4), np.nan, np.float32)
        rows = []
        for i in range(config.group_size):
            row = self._clips[self._order.clip(first + i)]
            rows.append(row)
            chosen = self._choose(row, first + i)
            for j, picture in enumerate(self._pictures(row, chosen)):
                frames[i, j, : picture.shape[0], : picture.shape[1]] = picture
            if row["labelled"]:
                boxes[i] = self._labels(row)[chosen]
        return ClipBatch(
            frames=torch.from_numpy(frames).permute(0, 1, 4, 2, 3),
            sizes=torch.tensor([[row["width"], row["height"]] for row in rows], dtype=torch.float32),
            seeds=torch.tensor([[row[f"seed_{k}"] for k in "xywh"] for row in rows], dtype=torch.float32),
            clip_ids=tuple(row["clip_id"] for row in rows),
            boxes=torch.from_numpy(boxes),
        )

    def groups(self, wanted: list[tuple[int, int]]) -> Iterator[ClipBatch]:
        """The batches of (step, group) pairs in order, each made in a thread while the one before is used."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader") as pool:
            ahead = pool.submit(self.group, *wanted[0]) if wanted else None
            for position in range(len(wanted)):
                assert ahead is not None
                batch = ahead.result()
                ahead = pool.submit(self.group, *wanted[position + 1]) if position + 1 < len(wanted) else None
                yield batch

    def _choose(self, row: dict, sample: int) -> list[int]:
        """Frame 0 and `n_search` later frames, drawn with replacement within the gap, in time order."""
        last = min(row["frames"] - 1, self.config.max_gap)
        rng = np.random.default_rng(seed_words("frames", self._data, self.seed, sample))
        return [0, *sorted(rng.integers(1, last + 1, self.config.n_search).tolist())]

    def _labels(self, row: dict) -> np.ndarray:
        """`[T, 4]` labelled boxes of a clip, NaN where a frame has none; kept, as they are small."""
        clip_id = row["clip_id"]
        if clip_id not in self._boxes:
            span = self._span(row)
            with self._tar(row).open("rb") as tar:
                try:
                    self._boxes[clip_id] = frame_boxes(read_record(tar, clip_id, span))
                except ValueError as error:
                    raise SSTrackError(
                        f"{self.dataset}: the labels of clip {clip_id} in shard {row['shard'][:12]} cannot be read "
                        f"({error}); the shard is damaged, ingest its sources again into a new folder"
                    ) from error
        return self._boxes[clip_id]

    def _tar(self, row: dict) -> Path:
        return Path(self.dataset) / "shards" / f"{row['shard']}.tar"

    def _span(self, row: dict) -> ClipSpan:
        shard = row["shard"]
        if shard not in self._indexes:
            self._indexes[shard] = load_index(self.dataset, shard)
        span = self._indexes[shard].get(row["clip_id"])
        if span is None or len(span.sizes) != row["frames"]:
            raise SSTrackError(
                f"{self.dataset}: the index of shard {shard[:12]} does not hold the {row['frames']} frames of clip "
                f"{row['clip_id']}; the dataset is damaged, ingest its sources again into a new folder"
            )
        return span

    def _pictures(self, row: dict, numbers: list[int]) -> Iterator[np.ndarray]:
        shard, span = row["shard"], self._span(row)
        with self._tar(row).open("rb") as tar:
            for number in numbers:
                tar.seek(int(span.offsets[number]))
                data = tar.read(int(span.sizes[number]))
                try:
                    yield simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=True)
                except ValueError as error:
                    raise SSTrackError(
                        f"{self.dataset}: frame {number} of clip {row['clip_id']} in shard {shard[:12]} is no JPEG "
                        f"({error}); the shard is damaged, ingest its sources again into a new folder"
                    ) from error
