"""Instance contrastive loss: the views of one target agree, targets of other samples differ."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sstrack.boxes import xywh_to_cxcywh, xywh_to_xyxy


def box_mask(boxes: Tensor, side: int, rule: Literal["box", "published"] = "box") -> tuple[Tensor, Tensor]:
    """Cells that show the target of normalised xywh boxes `[B, 4]`.

    Rule `box`: a cell counts if its centre lies in the box; the cell of the box's centre always counts. Rule
    `published`: what the published code computes, which takes a box's centre for its top-left corner, ends one cell
    early, and rounds both ends down, so that boxes of less than about two cells have none.

    Returns: `[B, S, S]` ones over those cells, in the boxes' dtype, and `[B]` bool: whether the rule's own cells, the
    box's centre apart, are none.
    """
    axis = torch.arange(side, device=boxes.device, dtype=boxes.dtype)
    if rule == "published":
        start, sides = xywh_to_cxcywh(boxes)[:, :2] * side, boxes[:, 2:] * side
        first, end = start.floor(), (start + sides - 1).floor()
        inside = (axis >= first[:, :, None]) & (axis < end[:, :, None])
    else:
        corners = xywh_to_xyxy(boxes) * side
        inside = (axis + 0.5 > corners[:, :2, None]) & (axis + 0.5 < corners[:, 2:, None])
    empty = ~inside.any(-1).all(-1)
    if rule == "box":
        centre = (xywh_to_cxcywh(boxes)[:, :2] * side).long().clamp(0, side - 1)
        inside = inside | (axis == centre[:, :, None])
    return (inside[:, 1, :, None] & inside[:, 0, None, :]).to(boxes.dtype), empty


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean `[B, C]` of search tokens `[B, S * S, C]` over each sample's cells `[B, S, S]`; zero where it has none."""
    weights = mask.flatten(1)[:, None].to(tokens.dtype)
    return (weights @ tokens)[:, 0] / weights.sum(-1).clamp(min=1)


def instance_contrast(
    features: Tensor, temperature: float, valid: Tensor | None = None, negatives: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """NT-Xent (Chen et al. 2020) over the views of a group's instances; with two views it is the published term.

    Each view is drawn to each other view of its instance, against all views of all other instances; a further view of
    the same instance is no negative.

    Args:
        features: `[V, B, C]`, V views of B instances.
        temperature: divides the cosine similarities.
        valid: `[B]` bool, instances that take part; all by default. Where none does, the loss is 0.
        negatives: `[M, C]` features of yet other instances, which get no gradient.

    Returns: loss and accuracy (share of views whose nearest other feature is of their instance; NaN without any),
    scalars.
    """
    v, b, _ = features.shape
    flat = F.normalize(features.flatten(0, 1).to(torch.promote_types(features.dtype, torch.float32)), dim=-1)
    instance = torch.arange(b, device=flat.device).repeat(v)
    takes_part = torch.ones(b, dtype=torch.bool, device=flat.device) if valid is None else valid
    takes_part = takes_part.repeat(v)
    same = instance[:, None] == instance[None]
    itself = torch.eye(v * b, dtype=torch.bool, device=flat.device)
    nothing = torch.finfo(flat.dtype).min / 2
    logits = flat @ flat.T / temperature
    others = logits.masked_fill(same | ~takes_part[None], nothing)
    if negatives is not None:
        others = torch.cat((others, flat @ F.normalize(negatives.detach().to(flat.dtype), dim=-1).T / temperature), 1)
    pairs = (same & ~itself & takes_part[:, None]).to(flat.dtype)
    terms = torch.logaddexp(logits, others.logsumexp(1, keepdim=True)) - logits
    loss = (terms * pairs).sum() / pairs.sum().clamp(min=1)
    nearest = logits.masked_fill(~same | itself, nothing).amax(1) > others.amax(1)
    return loss, (nearest & takes_part).sum().detach() / takes_part.sum()
