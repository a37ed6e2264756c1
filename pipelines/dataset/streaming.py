"""Sequential loader for S3 sets far larger than the disk: whole shards one after the other, read with `webdataset`.

Every group of the global batch has an endless stream of its own over all shards, so each rank gets as many batches as
it asks for. Streams are cut into blocks of clips, shuffled each on its own: where a step's samples begin follows from
its number, and at most the head of one shard is read again after a resume. The clips table says what belongs to the
dataset; other members of a tar are passed over. Frames are decoded by our own decoder.
"""

import json
import os
import tarfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset.utils
from numpy.typing import NDArray
from webdataset.tariterators import group_by_keys, tar_file_expander

from pipelines import storage
from pipelines.dataset.batches import gather, wait_for
from pipelines.dataset.cache import ShardCache
from pipelines.dataset.canvas import Canvases
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.drawing import Choice, Drawn, choose, needs_record, paint
from pipelines.dataset.draws import seed_words
from pipelines.dataset.manifest import load_manifest
from pipelines.dataset.reader import DamagedFrame
from pipelines.dataset.samples import UnusableSample, require_groups, sample_clips
from pipelines.dataset.substitute import Replacements
from pipelines.dataset.tars import shard_uri
from pipelines.dataset.threads import Threads
from pipelines.errors import SSTrackError
from pipelines.settings import settings
from sstrack.clips.clip import Clip
from sstrack.configs.data import DataConfig
from sstrack.objectives.base import ClipBatch

_AT_HAND = 3
"""Shards of a stream that are on disk or on their way: the one in use and those after it."""


@dataclass(frozen=True)
class _Ready:
    """A sample whose bytes are in memory."""

    choice: Choice
    frames: Mapping[int, bytes]


class StreamLoader:
    """Groups of samples of one dataset, read shard after shard."""

    def __init__(self, dataset: Dataset, config: DataConfig, seed: int, patience_s: float = 1800) -> None:
        """Raises SSTrackError for a missing or damaged manifest, fewer clips than the global batch holds, or a cache
        smaller than a shard."""
        require_groups(dataset.uri, dataset.manifest, config.group_size, config.groups, dataset.held_out)
        described = load_manifest(dataset.uri, dataset.manifest)
        self.dataset, self.config, self.seed, self._patience_s = dataset.uri, config, seed, patience_s
        self.data_digest = described.data_digest
        self.replaced = Replacements()
        rows = sample_clips(dataset.uri, dataset.manifest, dataset.held_out, dataset.use)
        self._rows = {row["clip_id"]: row for row in rows}
        self._shards = sorted({row["shard"] for row in rows})
        counts = dict.fromkeys(self._shards, 0)
        for row in rows:
            counts[row["shard"]] += 1
        self._counts = np.array([counts[shard] for shard in self._shards])
        here = settings()
        remote = not storage.is_local(dataset.uri)
        self._cache = ShardCache(Path(here.cache), here.cache_bytes) if remote else None
        largest = max(shard.bytes for shard in described.shards)
        if remote and largest > here.cache_bytes:
            raise SSTrackError(
                f"{dataset.uri} has a shard of {largest / 2**20:.1f} MiB, and SSTRACK_CACHE_BYTES allows a cache of "
                f"{here.cache_bytes / 2**20:.1f}; raise it."
            )
        # All groups' streams share the cache: shards read further ahead than it holds would push each other out.
        self._at_hand = min(max(here.cache_bytes // (largest * config.groups), 1), _AT_HAND)
        height, width = (max(row[side] for row in rows) for side in ("height", "width"))
        if config.canvas_width:
            height, width = config.canvas_height, config.canvas_width
        shape = (config.group_size, 1 + config.n_search, height, width, 3)
        self._canvases = Canvases(shape, pinned=torch.cuda.is_available())
        self._pool = Threads(here.loader_threads, "loader")
        self._blocks = Threads(2, "stream")

    def __len__(self) -> int:
        """Clips that serve as samples."""
        return len(self._rows)

    def group(self, step: int, group: int) -> ClipBatch:
        """The batch of one group; it opens a stream of its own, so a training asks for `groups` instead."""
        return next(self.groups([(step, group)]))

    def groups(self, wanted: Sequence[tuple[int, int]]) -> Iterator[ClipBatch]:
        """The batches of (step, group) pairs in order; each group is read on while its steps follow each other."""
        streams: dict[int, tuple[int, Iterator[tuple[list[_Ready], int]]]] = {}
        ahead: deque[tuple[NDArray[np.uint8], list[Future[Drawn]]]] = deque()
        size = self.config.group_size
        for position in range(len(wanted)):
            while len(ahead) <= 2 and position + len(ahead) < len(wanted):
                step, group = wanted[position + len(ahead)]
                at, stream = streams.get(group, (-1, iter(())))
                if at != step:
                    stream = self._samples(group, step * size)
                samples = [next(stream) for _ in range(size)]
                streams[group] = (step + 1, stream)
                frames = self._canvases.take()
                ahead.append((frames, [self._pool.submit(self._paint, *samples[i], frames[i]) for i in range(size)]))
            yield gather(*ahead.popleft(), self._patience_s, self.dataset)

    def close(self) -> None:
        """Stop the threads."""
        for pool in (self._blocks, self._pool):
            pool.close()
        if self._cache is not None:
            self._cache.close()

    def _paint(self, block: list[_Ready], place: int, canvas: NDArray[np.uint8]) -> Drawn:
        """Fill `canvas` with the sample at `place` of its block; where it cannot be shown, with the next one of the
        block that is of another clip. Blocks are the same wherever a stream begins, so the choice is too."""
        tried: set[str] = set()
        for sample in block[place:] + block[:place]:
            clip_id = sample.choice.row["clip_id"]
            if clip_id in tried:
                continue
            tried.add(clip_id)
            try:
                return paint(sample.choice, sample.frames.__getitem__, canvas)
            except UnusableSample as reason:
                self.replaced.unusable(str(reason))
            except DamagedFrame as reason:
                self.replaced.damaged(clip_id, str(reason))
        raise SSTrackError(
            f"{self.dataset}: none of {len(tried)} clips in a row can be decoded; run `sstrack dataset verify` on it."
        )

    def _samples(self, group: int, first: int) -> Iterator[tuple[list[_Ready], int]]:
        """The samples of a group from its number `first` on, as block and place; the next block is read meanwhile."""
        size = self.config.stream_shuffle * self.config.stream_per_clip
        block, skip = divmod(first, size)
        visits = self._visits(group, block * self.config.stream_shuffle)
        ahead = self._blocks.submit(self._block, group, block, visits)
        while True:
            ready = wait_for(ahead, self._patience_s, self.dataset)
            block += 1
            ahead = self._blocks.submit(self._block, group, block, visits)
            for place in range(skip, len(ready)):
                yield ready, place
            skip = 0

    def _block(self, group: int, block: int, visits: Iterator[tuple[int, dict[str, Any]]]) -> list[_Ready]:
        """The shuffled samples of a block's clips; those that cannot serve give way to others of the block."""
        config = self.config
        ready: list[_Ready] = []
        for _ in range(config.stream_shuffle):
            visit, sample = next(visits)
            for number in range(config.stream_per_clip):
                self.replaced.asked()
                rng = np.random.default_rng(seed_words("stream", self.data_digest, self.seed, group, visit, number))
                try:
                    ready.append(self._draw(sample, rng))
                except UnusableSample as reason:
                    self.replaced.unusable(str(reason))
                except DamagedFrame as reason:
                    self.replaced.damaged(sample["__key__"], str(reason))
        if not ready:
            raise SSTrackError(
                f"{self.dataset}: none of {config.stream_shuffle} clips in a row can serve as samples: "
                f"{dict(self.replaced.reasons)}; run `sstrack dataset verify` on it."
            )
        rng = np.random.default_rng(seed_words("block", self.data_digest, self.seed, group, block))
        order = rng.permutation(len(ready)).tolist()
        missing = config.stream_shuffle * config.stream_per_clip - len(ready)
        order += rng.integers(0, len(ready), missing).tolist()
        return [ready[place] for place in order]

    def _draw(self, sample: Mapping[str, Any], rng: np.random.Generator) -> _Ready:
        row = self._rows[sample["__key__"]]
        record = None
        if needs_record(row, self.config):
            try:
                record = Clip.from_dict(json.loads(sample["json"]))
            except (ValueError, KeyError, TypeError) as error:
                raise DamagedFrame(f"its record is damaged ({error})") from error
        choice = choose(row, record, self.config, rng)
        try:
            frames = {number: sample[f"{number:04d}.jpg"] for number in set(choice.numbers)}
        except KeyError as name:
            raise DamagedFrame(f"frame {name} is not in its tar") from None
        return _Ready(choice, frames)

    def _visits(self, group: int, first: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Numbered clips of a group's endless stream from visit `first` on."""
        epoch, position = divmod(first, len(self))
        visit = first
        while True:
            rng = np.random.default_rng(seed_words("stream-shards", self.data_digest, self.seed, group, epoch))
            shards = rng.permutation(len(self._shards))
            ends = np.cumsum(self._counts[shards])
            start = int(np.searchsorted(ends, position, side="right"))
            skip = position - (int(ends[start - 1]) if start else 0)
            for place in range(start, len(shards)):
                if self._cache is not None:
                    self._cache.read_ahead(
                        self.dataset, [self._shards[s] for s in shards[place : place + self._at_hand]]
                    )
                for sample in self._clips(self._shards[shards[place]], skip):
                    yield visit, sample
                    visit += 1
                skip = 0
            epoch, position = epoch + 1, 0

    def _clips(self, shard: str, skip: int) -> Iterator[dict[str, Any]]:
        """The clips of a shard that belong to the dataset, in its tar's order, without the first `skip`."""
        _refuse_commands()
        number = int(self._counts[self._shards.index(shard)])
        descriptor = self._cache.open(self.dataset, shard) if self._cache else self._open_local(shard)
        seen = 0
        with os.fdopen(descriptor, "rb") as tar:
            # The library would unpack a compressed tar, of any size, too.
            if os.pread(descriptor, 5, 257) != b"ustar":
                raise self._damaged(shard, "it is no plain tar")
            try:
                for sample in group_by_keys(tar_file_expander([{"url": shard, "stream": tar}])):
                    row = self._rows.get(sample["__key__"])
                    if row is None or row["shard"] != shard:
                        continue
                    seen += 1
                    if seen > skip:
                        yield sample
            except (OSError, ValueError, tarfile.TarError) as error:
                raise self._damaged(shard, str(error.args[0] if error.args else error)) from error
        if seen != number:
            raise self._damaged(shard, f"it holds {seen} of the {number} clips that the clips table names")

    def _open_local(self, shard: str) -> int:
        path = storage.local_path(shard_uri(self.dataset, shard))
        with storage.explained(path, "read"):
            return os.open(path, os.O_RDONLY)

    def _damaged(self, shard: str, reason: str) -> SSTrackError:
        return SSTrackError(
            f"{shard_uri(self.dataset, shard)} is damaged ({reason}); restore it from a copy, `sstrack dataset verify` "
            "says what else is wrong."
        )


def _refuse_commands() -> None:
    """Keep the library, which others may have imported before us, from opening anything itself: commands that a URL
    names, or pickles. We hand it open files."""
    os.environ["WDS_SECURE"] = "1"
    setattr(webdataset.utils, "enforce_security", True)  # noqa: B010 - unknown to type checkers
