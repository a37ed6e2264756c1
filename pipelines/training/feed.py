"""One rank's batches on its device, in the order in which it trains them."""

from collections.abc import Iterator, Sequence

import torch

from pipelines.dataset.batches import Loader
from pipelines.training.meter import RowMeter
from pipelines.training.stall import RollCall
from sstrack.objectives.base import ClipBatch


class Feed:
    """The loader as a rank sees it: the other ranks know when it reads, and its meter how long that took."""

    def __init__(self, loader: Loader, device: torch.device, roll: RollCall, meter: RowMeter) -> None:
        self.loader, self._device, self._roll, self._meter = loader, device, roll, meter
        self._batches: Iterator[ClipBatch] = iter(())

    def begin(self, steps: Sequence[int], groups: Sequence[int]) -> None:
        """Start reading ahead: these groups of each of these steps."""
        self._batches = self.loader.groups([(step, group) for step in steps for group in groups])

    def next(self, step: int) -> ClipBatch:
        """The next group, which is of `step` (0, 1, …)."""
        self._roll.at(step + 1, "reads")
        with self._meter.waiting():
            batch = next(self._batches).to(self._device)
        self._roll.at(step + 1, "trains")
        return batch

    def note_replaced(self) -> None:
        """Measure which shares of the samples had to give way to others so far."""
        self._meter.note("data_damaged", self.loader.replaced.share_damaged)
        self._meter.note("data_unusable", self.loader.replaced.share_unusable)
