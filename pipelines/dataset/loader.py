"""Random-access loader: the groups of clips that each training step sees, read straight from the shards.

Only the frames a sample needs are read and decoded. Group g of step s holds the global samples
`(s * groups + g) * group_size …`, whoever asks for it, so the position in a training is one integer, the step.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.dataset.batches import gather
from pipelines.dataset.canvas import Canvases
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.drawing import Drawn
from pipelines.dataset.draws import seed_words
from pipelines.dataset.member import Member, require_room
from pipelines.dataset.mixture import Mixture
from pipelines.dataset.reader import DamagedFrame
from pipelines.dataset.samples import UnusableSample
from pipelines.dataset.substitute import ATTEMPTS, Replacements
from pipelines.dataset.threads import Threads
from pipelines.errors import SSTrackError
from pipelines.settings import settings
from sstrack.configs.data import DataConfig
from sstrack.objectives.base import ClipBatch

_AHEAD = 2
"""Groups that are made while one is used."""


class ClipLoader:
    """Groups of samples of one or several datasets, in an order that no rank or worker count changes."""

    def __init__(self, datasets: Sequence[Dataset], config: DataConfig, seed: int, patience_s: float = 600) -> None:
        """Open datasets at fixed manifests. `patience_s`: longest wait for one group before the run ends.

        Raises SSTrackError for a manifest that is missing or damaged, or for fewer clips than the global batch holds.
        """
        self.config, self.seed, self._patience_s = config, seed, patience_s
        self.replaced = Replacements()
        self._members = [Member(each, config, seed) for each in datasets]
        for each, member in zip(datasets, self._members, strict=True):
            if len(datasets) > 1 and not len(member):
                raise SSTrackError(
                    f"{each.uri} has no clip with a seed box for {each.use}, so it can give nothing to a mixture; "
                    "leave it out, or ingest more video into it."
                )
        require_room({member.dataset: member.cache_bytes for member in self._members}, config.order)
        found, wanted = len(self), config.groups * config.group_size
        if found < wanted:
            raise SSTrackError(
                f"{', '.join(each.uri for each in datasets)}: {found} clips with a seed box, and the global batch "
                f"takes {wanted} ({config.groups} group(s) of {config.group_size}); ingest more video, or train with "
                f"--set data.group_size={max(found // config.groups, 2)}"
            )
        try:
            self._mixture = Mixture([each.weight for each in datasets], seed)
        except ValueError as error:
            raise SSTrackError(f"cannot mix {len(datasets)} datasets: {error}.") from error
        height, width = (max(member.canvas[side] for member in self._members) for side in (0, 1))
        shape = (config.group_size, 1 + config.n_search, height, width, 3)
        self._canvases = Canvases(shape, pinned=torch.cuda.is_available())
        self._pool = Threads(settings().loader_threads, "loader")

    def __len__(self) -> int:
        """Clips that serve as samples."""
        return sum(len(member) for member in self._members)

    @property
    def bytes_read(self) -> int:
        """Bytes read from shards so far."""
        return sum(member.reader.bytes_read for member in self._members)

    def group(self, step: int, group: int) -> ClipBatch:
        """The batch of one group: uint8 frames `[B, 1 + n_search, 3, H, W]` on the fixed canvas.

        Raises SSTrackError where the dataset is damaged, or where reading takes longer than `patience_s`.
        """
        return gather(*self._begin(step, group), self._patience_s, self._members[0].dataset)

    def groups(self, wanted: Sequence[tuple[int, int]]) -> Iterator[ClipBatch]:
        """The batches of (step, group) pairs in order, made by threads while the ones before are used."""
        ahead: deque[tuple[NDArray[np.uint8], list[Future[Drawn]]]] = deque()
        try:
            for position in range(len(wanted)):
                while len(ahead) <= _AHEAD and position + len(ahead) < len(wanted):
                    ahead.append(self._begin(*wanted[position + len(ahead)]))
                yield gather(*ahead.popleft(), self._patience_s, self._members[0].dataset)
        finally:
            for _, futures in ahead:
                for future in futures:
                    future.cancel()

    def close(self) -> None:
        """Stop the threads; a group that is being made is dropped, a read that never ends is left behind."""
        self._pool.close()
        for member in self._members:
            member.close()

    def _begin(self, step: int, group: int) -> tuple[NDArray[np.uint8], list[Future[Drawn]]]:
        frames = self._canvases.take()
        first = (step * self.config.groups + group) * self.config.group_size
        return frames, [self._pool.submit(self._sample, first + i, frames[i]) for i in range(self.config.group_size)]

    def _sample(self, sample: int, canvas: NDArray[np.uint8]) -> Drawn:
        """Fill `canvas` [1 + n_search, H, W, 3] with a sample; a clip that cannot serve gives way to a drawn other."""
        number, within = self._mixture.place(sample)
        member = self._members[number]
        self.replaced.asked()
        clip = member.clip(within)
        for attempt in range(ATTEMPTS):
            try:
                return member.draw(clip, sample, canvas)
            except UnusableSample as reason:
                self.replaced.unusable(str(reason))
            except DamagedFrame as reason:
                self.replaced.damaged(member.clip_id(clip), str(reason))
            rng = np.random.default_rng(seed_words("substitute", member.data_digest, self.seed, sample, attempt))
            clip = member.substitute(clip, rng)
        raise SSTrackError(
            f"{member.dataset}: {ATTEMPTS} clips in a row could not serve as sample {sample}: "
            f"{dict(self.replaced.reasons)}; run `sstrack dataset verify` on it."
        )
