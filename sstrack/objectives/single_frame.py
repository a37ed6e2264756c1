"""One frame and its transformed self, as a baseline on the same network (S2SiamFC, Sio et al., ACM MM 2020).

The template is cut at the seed box of a clip's first frame; the search regions are augmented views of the same frame.
No other frame is looked at. What S2SiamFC hides from the network by adversarial masks, the change `occlusion` hides at
random, where a recipe asks for it.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.objectives.base import ClipBatch, Network, Shown
from sstrack.objectives.losses import Localisation, localise
from sstrack.objectives.schedule import scheduled
from sstrack.objectives.views import search_view, template_crops


@dataclass(frozen=True)
class SingleFrame:
    """The objective for one network configuration."""

    net_config: NetConfig
    config: ObjectiveConfig

    def __call__(
        self, net: Network, batch: ClipBatch, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        found = self._find(net, batch, generator, progress)
        loss = torch.stack([f.total(self.config) for f in found]).sum()
        metrics = {name: torch.stack([f.metrics()[name] for f in found]).mean() for name in ("giou", "l1", "focal")}
        metrics["search_iou"] = torch.stack([f.iou for f in found]).mean()
        return loss, {**metrics, "loss": loss.detach()}

    def shown(self, net: Network, batch: ClipBatch, generator: Generator, progress: float) -> Shown:
        found = self._find(net, batch, generator, progress)
        return Shown(batch.frames[:, 0], batch.seeds, batch.sizes, found, [])

    def _find(self, net: Network, batch: ClipBatch, generator: Generator, progress: float) -> list[Localisation]:
        """The target in each view of the first frame."""
        net = scheduled(net, progress, self.config)
        frame = batch.frames[:, 0].float()
        template = template_crops(frame, batch.seeds, self.net_config, self.config, generator)[:, None]
        found = []
        for _ in range(self.config.views):
            view, target = search_view(frame, batch.seeds, self.net_config, self.config, generator)
            found.append(localise(net(template, view).maps, target, self.config))
        return found


def single_frame(net_config: NetConfig, config: ObjectiveConfig) -> SingleFrame:
    """The objective for one network configuration."""
    return SingleFrame(net_config, config)
