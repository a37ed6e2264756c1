"""Two objectives one after the other in one training: which one it is follows from the progress alone, so a run resumes
across the change, under one key, with one optimiser and one schedule."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sstrack.objectives.base import ClipBatch, Network, Objective, Shown


@dataclass(frozen=True)
class Phased:
    """`first` up to a share of the training, then `second`; each sees its own progress from 0 to 1."""

    first: Objective
    second: Objective
    change: float
    """Share of the training, 0..1, both left out."""

    def __call__(
        self, net: Network, batch: ClipBatch, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        objective, within = self._now(progress)
        loss, metrics = objective(net, batch, generator, within)
        return loss, {**metrics, "phase": torch.tensor(1.0 if objective is self.first else 2.0, device=loss.device)}

    def shown(self, net: Network, batch: ClipBatch, generator: Generator, progress: float) -> Shown:
        objective, within = self._now(progress)
        return objective.shown(net, batch, generator, within)

    def _now(self, progress: float) -> tuple[Objective, float]:
        if progress < self.change:
            return self.first, progress / self.change
        return self.second, (progress - self.change) / (1 - self.change)
