"""Forward-backward cycle consistency, as a baseline on the same network, in the manner of CycleSiam (Yuan et al., IROS
2020) and self-SDCT (Yuan et al., IEEE TIP 2021).

Forward tracking is local: each later frame is searched around the box before it. From every later frame a cycle closes:
its template, cut at the prediction, has to find the target in the first frame again, where its box is known. Cycles
whose found target looks least like the start do not count (self-SDCT's similarity dropout). There are no whole-frame
searches, no pasted targets and no contrastive term.

The first frame is searched in a jittered region around the known box and not around the tracked one, which lies apart
in frames far from each other and would often not show the target at all.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from sstrack.boxes import clip_to_frame, iou
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.crops import crop, from_region, square_region
from sstrack.objectives.base import ClipBatch, Network, Shown, mean_where
from sstrack.objectives.losses import Localisation, localise
from sstrack.objectives.schedule import scheduled
from sstrack.objectives.views import search_view, template_crops
from sstrack.templates import cut_templates


@dataclass(frozen=True)
class Cycle:
    """The objective for one network configuration."""

    net_config: NetConfig
    config: ObjectiveConfig

    def __call__(
        self, net: Network, batch: ClipBatch, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config, frames = self.config, batch.frames.float()
        tracked, found = self._both_ways(net, frames, batch, generator, progress)
        start = self._pictures(frames[:, 0], batch.seeds)
        alike = torch.stack(
            [F.cosine_similarity(start, self._pictures(frames[:, t + 1], box)) for t, box in enumerate(tracked)]
        )
        counts = _above_lowest(alike, config.similarity_drop)
        loss = torch.stack([f.total(config, count) for f, count in zip(found, counts.float(), strict=True)]).sum()
        metrics = {name: torch.stack([f.metrics()[name] for f in found]).mean() for name in ("giou", "l1", "focal")}
        truth = batch.boxes[:, 1:].transpose(0, 1)
        metrics["forward_iou"] = mean_where(iou(torch.stack(tracked), truth), truth.isfinite().all(-1))
        metrics["backward_iou"] = torch.stack([f.iou for f in found]).mean()
        metrics["similarity"] = alike.mean()
        return loss, {**metrics, "loss": loss.detach()}

    def shown(self, net: Network, batch: ClipBatch, generator: Generator, progress: float) -> Shown:
        """The local searches forward come first, then those of the first frame, which close the cycles."""
        found = self._both_ways(net, batch.frames.float(), batch, generator, progress)[1]
        return Shown(batch.frames[:, 0], batch.seeds, batch.sizes, found, [])

    def _both_ways(
        self, net: Network, frames: Tensor, batch: ClipBatch, generator: Generator, progress: float
    ) -> tuple[list[Tensor], list[Localisation]]:
        """Boxes `[B, 4]` (pixels) in each later frame, and the target found from each of them in the first frame."""
        net_config, config = self.net_config, self.config
        net = scheduled(net, progress, config)
        tracked, query = self._track(net, frames, batch)
        found: list[Localisation] = []
        for t, box in enumerate(tracked):
            template = template_crops(frames[:, t + 1], box, net_config, config, generator)
            view, target = search_view(frames[:, 0], batch.seeds, net_config, config, generator)
            found.append(localise(net(template[:, None], view, query).maps, target, config))
        return tracked, found

    @torch.no_grad()
    def _track(self, net: Network, frames: Tensor, batch: ClipBatch) -> tuple[list[Tensor], Tensor | None]:
        """Boxes `[B, 4]` (pixels) in each later frame, found one after the other, and the last query."""
        net_config = self.net_config
        box, query = batch.seeds, None
        template = cut_templates(frames[:, 0], box, net_config)[:, None]
        boxes: list[Tensor] = []
        for t in range(1, frames.shape[1]):
            region = square_region(box, net_config.search_factor)
            output = net(template, crop(frames[:, t], region, net_config.search_size), query)
            query = output.query if self.config.carry_query else None
            found = from_region(output.maps.box_at(output.maps.best_cell()).float(), region)
            box = clip_to_frame(found, batch.sizes[:, 0], batch.sizes[:, 1], min_side=1.0)
            boxes.append(box)
        return boxes, query

    def _pictures(self, frames: Tensor, boxes: Tensor) -> Tensor:
        """The targets alone as vectors `[B, 3 * P * P]` without their mean."""
        pictures = crop(frames, boxes, 16).flatten(1)
        return pictures - pictures.mean(1, keepdim=True)


def cycle(net_config: NetConfig, config: ObjectiveConfig) -> Cycle:
    """The objective for one network configuration."""
    return Cycle(net_config, config)


def _above_lowest(values: Tensor, share: float) -> Tensor:
    """`[T, B]` bool: all but the lowest `share` (0..1, rounded down) of all values."""
    dropped = int(share * values.numel())
    keep = torch.ones(values.numel(), dtype=torch.bool, device=values.device)
    keep[values.flatten().argsort()[:dropped]] = False
    return keep.view_as(values)
