"""Does a network use its template? Its overlap with the right template, with none, and with another target's.

A tracker that only finds what stands out, or what moves, scores as well with a blank or a foreign template as with the
right one. So scenes are rendered in which look-alike distractors surround the target, with the exact truth, and the
network searches the same region three times.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sstrack.boxes import iou
from sstrack.configs.net import NetConfig
from sstrack.crops import crop, square_region, to_region
from sstrack.objectives.base import ClipBatch, Network
from sstrack.synthetic import SceneConfig, render_scene
from sstrack.templates import cut_templates

_SCENE = SceneConfig(
    width=192, height=144, frames=2, objects=4, target_side=(22.0, 40.0), speed=(4.0, 14.0), camera_speed=5.0
)
"""Two small frames so far apart that the place of the target says little; three distractors of its size and make."""


@dataclass(frozen=True)
class TemplateProbe:
    """Pictures with known answers, ready for the network."""

    templates: Tensor
    """`[N, C, S, S]` float, 0..255: each scene's target in its first frame."""
    regions: Tensor
    """`[N, 3, S, S]` float, 0..255: local search regions of the second frame, the target somewhere in them."""
    targets: Tensor
    """`[N, 4]` xywh, normalised to the regions."""

    def to(self, device: torch.device) -> "TemplateProbe":
        """The same probe on another device."""
        return TemplateProbe(self.templates.to(device), self.regions.to(device), self.targets.to(device))


def render_probe(batch: ClipBatch, net: NetConfig, seed: int, scenes: int = 12) -> TemplateProbe:
    """Scenes rendered from the first frames of a group, so that no other picture is needed. `seed` decides all."""
    photos = [
        np.ascontiguousarray(frame[:, : int(height), : int(width)].permute(1, 2, 0).cpu().numpy())
        for frame, (width, height) in zip(batch.frames[:, 0], batch.sizes.tolist(), strict=True)
    ]
    rendered = [render_scene(photos, seed + i, _SCENE) for i in range(scenes)]
    frames = torch.stack([torch.from_numpy(scene.frames).permute(0, 3, 1, 2) for scene in rendered]).float()
    boxes = torch.stack([torch.from_numpy(scene.boxes) for scene in rendered]).float()
    shift = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (scenes, 2))).float()
    region = square_region(boxes[:, 1], net.search_factor)
    # Off the middle by up to a quarter of the region, so that the middle is no answer.
    region[:, :2] += shift * region[:, 2:] / 4
    return TemplateProbe(
        cut_templates(frames[:, 0], boxes[:, 0], net),
        crop(frames[:, 1], region, net.search_size),
        to_region(boxes[:, 1], region),
    )


@torch.no_grad()
def template_use(net: Network, probe: TemplateProbe) -> dict[str, Tensor]:
    """Mean overlap (IoU, 0..1, scalars) with each kind of template, and the lead of the right one over the better of
    the wrong ones: `template_right`, `template_zeroed`, `template_foreign`, `template_lead`.

    Call it with a network in evaluation mode.
    """

    def overlap(templates: Tensor) -> Tensor:
        maps = net(templates[:, None], probe.regions).maps
        return iou(maps.box_at(maps.best_cell()).float(), probe.targets).mean()

    right = overlap(probe.templates)
    zeroed = overlap(torch.zeros_like(probe.templates))
    foreign = overlap(probe.templates.roll(1, 0))
    return {
        "template_right": right,
        "template_zeroed": zeroed,
        "template_foreign": foreign,
        "template_lead": right - torch.maximum(zeroed, foreign),
    }
