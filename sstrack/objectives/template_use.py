"""Does a network use its template? Its overlap with the right template, with none, and with another target's.

A tracker that only finds what stands out, or what moves, scores as well with a blank or a foreign template as with the
right one. So a region with distractors around the target is searched three times, in two kinds of pictures with the
exact truth: small rendered scenes with look-alikes, and crops of the dataset's own frames.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sstrack.boxes import iou
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.crops import crop, square_region, to_region
from sstrack.objectives.base import ClipBatch, Network
from sstrack.objectives.match_pairs import Shares, choose_targets, cut_pairs, paste_targets, template_places
from sstrack.synthetic import SceneConfig, render_scene
from sstrack.templates import cut_templates

_SCENE = SceneConfig(
    width=192, height=144, frames=2, objects=4, target_side=(22.0, 40.0), speed=(4.0, 14.0), camera_speed=5.0
)
"""Two small frames so far apart that the place of the target says little; three distractors of its size and make."""

_REAL = ObjectiveConfig(
    name="matching",
    near_distractors=4,
    cover_share=0.0,
    view_changes="colour:0.3,scale:0.3",
    template_changes="",
    paste_changes="brightness,rotate:0.3,shear:0.3,scale:0.3",
    scale_jitter=0.2,
)
"""Distractors always, changes a few: a frame a second later, not another world."""
LEAST_LEAD = 0.1
"""Lead on real frames below which a network is said not to use its template."""


@dataclass(frozen=True)
class TemplateProbe:
    """Pictures with known answers, ready for the network."""

    kind: Literal["template", "real"]
    """What its measures are called by: `template` of rendered scenes, `real` of real frames."""

    templates: Tensor
    """`[N, C, S, S]` float, 0..255: each scene's target in its first frame."""
    regions: Tensor
    """`[N, 3, S, S]` float, 0..255: local search regions of the second frame, the target somewhere in them."""
    targets: Tensor
    """`[N, 4]` xywh, normalised to the regions."""

    def to(self, device: torch.device) -> "TemplateProbe":
        """The same probe on another device."""
        return TemplateProbe(self.kind, self.templates.to(device), self.regions.to(device), self.targets.to(device))


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
        "template",
        cut_templates(frames[:, 0], boxes[:, 0], net),
        crop(frames[:, 1], region, net.search_size),
        to_region(boxes[:, 1], region),
    )


def real_probe(batch: ClipBatch, net: NetConfig, seed: int, rounds: int = 3) -> TemplateProbe:
    """Crops of the group's real frames, distractors of other clips beside the target: half of the targets are a frame's
    own, half are pasted into another frame; half are seed boxes, half random textured boxes.

    Each of `rounds` draws gives a pair for every sample of the group; `seed` decides all.
    """
    shares = Shares(tracked=0, pasted=len(batch.frames) // 2, templates=1)
    templates: list[Tensor] = []
    regions: list[Tensor] = []
    boxes: list[Tensor] = []
    for place in range(rounds):
        generator = torch.Generator(batch.frames.device).manual_seed(1000 * seed + place)
        targets = choose_targets(batch, _REAL, generator)
        pasted = paste_targets(batch, targets, shares, _REAL, generator)
        places = template_places(targets, pasted, shares, [], batch.frames.shape[1], generator)
        pairs = cut_pairs(batch, targets, pasted, places, shares, net, _REAL, generator)
        templates.append(pairs.templates[:, 0])
        regions.append(pairs.views)
        boxes.append(pairs.targets)
    return TemplateProbe("real", torch.cat(templates), torch.cat(regions), torch.cat(boxes))


def unused(lead: float) -> str:
    """A sentence of warning where the lead on real frames says that a network does not look at its template."""
    if lead >= LEAST_LEAD:
        return ""
    return (
        f"the right template leads by {lead:.2f} on real frames, under {LEAST_LEAD}: this network finds what stands "
        "out, not its target; train it longer, or with the matching objective"
    )


@torch.no_grad()
def template_use(net: Network, probe: TemplateProbe) -> dict[str, Tensor]:
    """Mean overlap (IoU, 0..1, scalars) with each kind of template, and the lead of the right one over the better of
    the wrong ones: `template_right`, `template_zeroed`, `template_foreign`, `template_lead`, or `real_right` and so on.

    Call it with a network in evaluation mode.
    """

    def overlap(templates: Tensor) -> Tensor:
        maps = net(templates[:, None], probe.regions).maps
        return iou(maps.box_at(maps.best_cell()).float(), probe.targets).mean()

    right = overlap(probe.templates)
    zeroed = overlap(torch.zeros_like(probe.templates))
    foreign = overlap(probe.templates.roll(1, 0))
    return {
        f"{probe.kind}_right": right,
        f"{probe.kind}_zeroed": zeroed,
        f"{probe.kind}_foreign": foreign,
        f"{probe.kind}_lead": right - torch.maximum(zeroed, foreign),
    }
