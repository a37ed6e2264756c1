"""Distractors beside the target inside a search region, so that being the one odd thing in it marks no target.

Shapes: B batch, P side of a patch, R of a search region.
"""

import torch
from torch import Generator, Tensor

from sstrack.boxes import cxcywh_to_xywh, xywh_to_cxcywh
from sstrack.objectives.changes import uniform
from sstrack.objectives.patches import changed, lay, log_uniform, outlined

SHOWN = 0.7
"""Chance of each distractor."""
BESIDE = (0.85, 2.2)
"""How far away a distractor lies, over half the sum of its own and the target's size."""
OVER = (0.5, 0.85)
"""The same for one that covers a part of the target."""


def lay_beside(
    views: Tensor,
    target: Tensor,
    cuts: Tensor,
    owners: Tensor,
    chance: float,
    away: tuple[float, float],
    changes: tuple[tuple[str, float], ...],
    generator: Generator,
) -> Tensor:
    """Lay one other clip's target into each view, by `chance`.

    Args:
        views: `[B, 3, R, R]` float.
        target: `[B, 4]` xywh over the view: around which it lies.
        cuts: `[B, 3, P, P]` the targets of the group.
        owners: `[B]` whose target is searched in each view; neither that one nor the sample's own is laid.
        away: nearest and farthest, as `BESIDE`.
        changes: of its look.
    """
    patches, _ = changed(outlined(cuts[_others(cuts, owners, generator)], generator), changes, generator)
    boxes = _around(target, *away, generator)
    return lay(views, patches, boxes, uniform((len(views),), generator) < chance)


def _others(cuts: Tensor, owners: Tensor, generator: Generator) -> Tensor:
    """`[B]`: for each sample another clip, half of the time the one whose target is most like its own in colour."""
    b = len(owners)
    colour = cuts.mean((2, 3))
    unlike = (colour[owners][:, None] - colour[None]).norm(dim=-1)
    own = torch.arange(b, device=owners.device)
    barred = (own[None] == owners[:, None]) | (own[None] == own[:, None])
    by_chance = uniform((b, b), generator) * 1e3
    alike = uniform((b, 1), generator) < 0.5
    return torch.where(barred, torch.inf, torch.where(alike, unlike, by_chance)).argmin(1)


def _around(target: Tensor, near: float, far: float, generator: Generator) -> Tensor:
    """Boxes `[B, 4]` around targets `[B, 4]` (both xywh over the view), of about their size."""
    b = len(target)
    side = target[:, 2:].prod(-1, keepdim=True).clamp(min=1e-4).sqrt()
    sides = side * uniform((b, 1), generator, 0.6, 1.5) * log_uniform((b, 2), generator, 0.75, 1.33)
    angle = uniform((b, 1), generator, 0, 2 * torch.pi)
    away = torch.cat((angle.cos(), angle.sin()), dim=-1) * (target[:, 2:] + sides) / 2
    away = away * uniform((b, 1), generator, near, far)
    return cxcywh_to_xywh(torch.cat((xywh_to_cxcywh(target)[:, :2] + away, sides), dim=-1))
