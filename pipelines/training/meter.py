"""One rank's measurements between two rows of metrics, and how fast it was."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pipelines.training.ranks import mean_over_ranks


class RowMeter:
    """Gathers what is measured, and makes a row of it when one is due. All ranks ask for rows at the same steps."""

    def __init__(self, world: int, device: torch.device, samples_per_step: int) -> None:
        """`samples_per_step`: of the global batch."""
        self._world, self._device, self._samples = world, device, samples_per_step
        self._seen: dict[str, list[Tensor]] = {}
        self.begin(0)

    def begin(self, done: int) -> None:
        """Start the clock after `done` steps."""
        self._began, self._clock, self._waited = done, time.perf_counter(), 0.0

    def note(self, name: str, value: Tensor | float) -> None:
        """One measurement, a scalar. A tensor is read only when the row is made: it makes nobody wait now."""
        self._seen.setdefault(name, []).append(torch.as_tensor(value).detach())

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The block waits for data."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def row(self, done: int, more: dict[str, float]) -> dict[str, float]:
        """Means over all ranks since the last row, then `more`, the speed in samples/s, and the share of the time that
        was spent waiting for data. What comes next is measured anew."""
        row = {**mean_over_ranks(self._seen, self._world, self._device), **more}
        seconds = max(time.perf_counter() - self._clock, 1e-9)
        row["samples_per_s"] = (done - self._began) * self._samples / seconds
        row["data_wait"] = self._waited / seconds
        self._seen = {}
        self.begin(done)
        return row
