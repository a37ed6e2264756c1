"""The batch an objective sees and the shape every objective has."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sstrack.models.tracker_net import NetOutput
from sstrack.objectives.losses import Localisation


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
    boxes: Tensor
    """`[B, 1 + n_search, 4]` float xywh: labels in pixels, NaN where a frame has none."""

    def to(self, device: torch.device) -> "ClipBatch":
        """The same batch on another device."""
        return replace(
            self,
            frames=self.frames.to(device, non_blocking=True),
            sizes=self.sizes.to(device, non_blocking=True),
            seeds=self.seeds.to(device, non_blocking=True),
            boxes=self.boxes.to(device, non_blocking=True),
        )


class Network(Protocol):
    """What an objective asks of a network (a wrapped or compiled one too).

    `eliminate` in 0..1 says how much of the network's candidate elimination is in force.
    """

    def __call__(
        self, templates: Tensor, search: Tensor, query: Tensor | None = None, eliminate: float = 1.0
    ) -> NetOutput: ...


@dataclass(frozen=True)
class Shown:
    """What an objective did with a group, for whoever wants to see it."""

    frames: Tensor
    """`[B, 3, H, W]` first frames as the objective saw them, pasted targets in them."""
    boxes: Tensor
    """`[B, 4]` xywh pixels: where each target starts."""
    sizes: Tensor
    """`[B, 2]` (width, height) of the true pictures."""
    found: list[Localisation]
    """The searches that the loss is taken in: the last calls of the network, in their order. A target that is not known
    is NaN."""
    masks: list[Tensor]
    """For each of `found` the cells `[B, S, S]` whose tokens are pooled for the contrastive term; empty where there is
    none."""


class Objective(Protocol):
    """Loss and named metrics (detached scalars) of one group. Owns no state but its configuration.

    `generator` gives every random draw; `progress` in 0..1 is the share of training done, for curricula. A metric that
    this group could not measure is NaN; finding that out would make the host wait for the device.
    """

    def __call__(
        self, net: Network, batch: ClipBatch, generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]: ...

    def shown(self, net: Network, batch: ClipBatch, generator: torch.Generator, progress: float) -> Shown:
        """The searches behind the loss that a generator of the same seed gives."""
        ...


@runtime_checkable
class WideObjective(Objective, Protocol):
    """An objective that can push targets of other groups away too."""

    def __call__(
        self,
        net: Network,
        batch: ClipBatch,
        generator: torch.Generator,
        progress: float,
        negatives: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """`negatives`: `[M, C]` features of targets of other groups."""
        ...

    def features(self, net: Network, batch: ClipBatch, generator: torch.Generator, progress: float) -> Tensor:
        """`[N, C]` features of a group's targets, without gradient."""
        ...


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` (same shape, bool) holds; NaN where it holds nowhere."""
    return torch.where(mask, values, 0).sum() / mask.sum()
