"""Supervised training, as a baseline on the same network: labelled boxes in later frames, as OSTrack and ODTrack train.

The first frame gives the first template. In each later frame the target is searched in a jittered local region, with
the templates of the frames before as memory, and its label is the answer. Frames without a label teach nothing; samples
without any may be trained by the decoupled objective instead, for datasets that are labelled in part.
"""

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.objectives.base import ClipBatch, Network, Shown, mean_where
from sstrack.objectives.decoupled import Decoupled
from sstrack.objectives.losses import Localisation, localise
from sstrack.objectives.schedule import scheduled
from sstrack.objectives.views import search_view, template_crops


@dataclass(frozen=True)
class Supervised:
    """The objective for one network configuration."""

    net_config: NetConfig
    config: ObjectiveConfig

    def __call__(
        self, net: Network, batch: ClipBatch, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        boxes = torch.cat((batch.seeds[:, None], batch.boxes[:, 1:]), dim=1)
        now = scheduled(net, progress, self.config)
        loss, metrics = supervise(now, batch.frames.float(), boxes, self.net_config, self.config, generator)
        labelled = boxes[:, 1:].isfinite().all(-1).any(1)
        metrics["labelled"] = labelled.float().mean()
        if self.config.unlabelled == "decoupled":
            others = Decoupled(self.net_config, self.config)
            unlabelled, more = others(net, batch, generator, progress, counted=~labelled)
            # Each part is a mean over its own samples: weigh them by how many those are.
            share = metrics["labelled"]
            loss = share * loss + (1 - share) * unlabelled
            metrics |= {name: more[name] for name in ("backward_iou", "forward_iou", "known_templates")}
        metrics["loss"] = loss.detach()
        return loss, metrics

    def shown(self, net: Network, batch: ClipBatch, generator: Generator, progress: float) -> Shown:
        """The searches of later frames; those without a label have no target."""
        boxes = torch.cat((batch.seeds[:, None], batch.boxes[:, 1:]), dim=1)
        now = scheduled(net, progress, self.config)
        found = search_later(now, batch.frames.float(), boxes, self.net_config, self.config, generator)
        known = boxes[:, 1:].isfinite().all(-1).T[..., None]
        found = [replace(f, target=torch.where(k, f.target, torch.nan)) for f, k in zip(found, known, strict=True)]
        return Shown(batch.frames[:, 0], batch.seeds, batch.sizes, found, [])


def supervised(net_config: NetConfig, config: ObjectiveConfig) -> Supervised:
    """The objective for one network configuration."""
    return Supervised(net_config, config)


def supervise(
    net: Network, frames: Tensor, boxes: Tensor, net_config: NetConfig, config: ObjectiveConfig, generator: Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Localise the target in each later frame whose box is known.

    Args:
        frames: `[B, F, 3, H, W]` float.
        boxes: `[B, F, 4]` xywh pixels, known on the first frames, NaN where unknown on later ones.

    Returns: the loss, summed over later frames and averaged over samples, and metrics (`search_iou` with them).
    """
    found = search_later(net, frames, boxes, net_config, config, generator)
    known = boxes[:, 1:].isfinite().all(-1).T
    loss = torch.stack([f.total(config, counts.float()) for f, counts in zip(found, known, strict=True)]).sum()
    metrics = {
        name: mean_where(torch.stack([getattr(f, name).detach() for f in found]), known)
        for name in ("giou", "l1", "focal")
    }
    metrics["search_iou"] = mean_where(torch.stack([f.iou for f in found]), known)
    return loss, {**metrics, "loss": loss.detach()}


def search_later(
    net: Network, frames: Tensor, boxes: Tensor, net_config: NetConfig, config: ObjectiveConfig, generator: Generator
) -> list[Localisation]:
    """Search each later frame around the target's box there, or around the first one where it has none; arguments as
    of `supervise`."""
    memory = [template_crops(frames[:, 0], boxes[:, 0], net_config, config, generator)]
    query: Tensor | None = None
    found: list[Localisation] = []
    is_known = boxes.isfinite().all(-1)
    for t in range(1, frames.shape[1]):
        box = torch.where(is_known[:, t, None], boxes[:, t], boxes[:, 0])
        view, target = search_view(frames[:, t], box, net_config, config, generator)
        output = net(torch.stack(memory, dim=1), view, query)
        query = output.query.detach() if config.carry_query else None
        found.append(localise(output.maps, target, config))
        later = template_crops(frames[:, t], box, net_config, config, generator)
        memory.append(torch.where(is_known[:, t, None, None, None], later, memory[0]))
    return found
