"""Instance contrastive loss: the two views of one target agree, targets of other samples differ."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sstrack.boxes import xywh_to_xyxy


def box_mask(boxes: Tensor, side: int) -> Tensor:
    """`[B, S, S]` ones over the cells a normalised xywh box `[B, 4]` covers, at least the cell of its centre.

    A cell counts if its centre lies in the box. (The published code reads centre boxes as top-left boxes here and
    leaves small targets without a mask; this is the meant rule.)
    """
    corners = xywh_to_xyxy(boxes) * side
    axis = torch.arange(side, device=boxes.device, dtype=boxes.dtype)
    x = (axis[None] + 0.5 > corners[:, 0:1]) & (axis[None] + 0.5 < corners[:, 2:3])
    y = (axis[None] + 0.5 > corners[:, 1:2]) & (axis[None] + 0.5 < corners[:, 3:4])
    centre = ((boxes[:, :2] + boxes[:, 2:] / 2) * side).long().clamp(0, side - 1)
    x = x | (axis[None] == centre[:, 0:1])
    y = y | (axis[None] == centre[:, 1:2])
    return (y[:, :, None] & x[:, None, :]).to(boxes.dtype)


def masked_mean(tokens: Tensor, boxes: Tensor) -> Tensor:
    """Mean `[B, C]` of search tokens `[B, S * S, C]` inside each sample's box `[B, 4]` (normalised xywh)."""
    side = int(tokens.shape[1] ** 0.5)
    mask = box_mask(boxes, side).flatten(1)[:, None]
    return (mask @ tokens)[:, 0] / mask.sum(-1)


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """NT-Xent (Chen et al. 2020) over the 2B features of one group.

    Args:
        first, second: `[B, C]` features of the two views; row i of both is one instance.
        temperature: divides the cosine similarities.

    Returns: loss and accuracy (share of features whose nearest other feature is their partner), scalars.
    """
    features = F.normalize(torch.cat((first, second)), dim=-1)
    n = len(first)
    logits = features @ features.T / temperature
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=logits.device), float("-inf"))
    partner = torch.arange(2 * n, device=logits.device).roll(n)
    return F.cross_entropy(logits, partner), (logits.argmax(1) == partner).float().mean().detach()
