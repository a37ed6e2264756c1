"""The batch an objective sees and the shape every objective has."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sstrack.models.tracker_net import NetOutput


@dataclass(frozen=True)
class ClipBatch:
    """One group of samples: the first and some later frames of clips at stored resolution, nothing normalised."""

    frames: Tensor
    """`[B, 1 + n_search, 3, H, W]` uint8 RGB on a fixed canvas, picture at top-left, zeros elsewhere; time order."""
    sizes: Tensor
    """`[B, 2]` float (width, height) of the true picture in pixels."""
    seeds: Tensor
    """`[B, 4]` float xywh: the seed box on the first frame, pixels."""
    clip_ids: tuple[str, ...]

    def to(self, device: torch.device) -> "ClipBatch":
        """The same batch on another device."""
        return ClipBatch(
            self.frames.to(device, non_blocking=True), self.sizes.to(device), self.seeds.to(device), self.clip_ids
        )


class Network(Protocol):
    """What an objective asks of a network (a wrapped or compiled one too).

    `keep` is the share of search tokens that candidate elimination keeps; None takes the network's own.
    """

    def __call__(
        self, templates: Tensor, search: Tensor, query: Tensor | None = None, keep: float | None = None
    ) -> NetOutput: ...


class Objective(Protocol):
    """Loss and named metrics (detached scalars) of one group. Owns no state but its configuration.

    `generator` gives every random draw; `progress` in 0..1 is the share of training done, for curricula.
    """

    def __call__(
        self, net: Network, batch: ClipBatch, generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]: ...
