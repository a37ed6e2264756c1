"""Localisation loss of one search region: GIoU and L1 on the box, focal loss on the score map."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sstrack.boxes import iou_giou, xywh_to_cxcywh, xywh_to_xyxy
from sstrack.models.head import HeadMaps
from sstrack.recipes import ObjectiveConfig


@dataclass(frozen=True)
class Localisation:
    """Loss terms (scalars, unweighted) and the predicted boxes `[B, 4]`, normalised xywh."""

    giou: Tensor
    l1: Tensor
    focal: Tensor
    boxes: Tensor
    iou: Tensor

    def weighted(self, config: ObjectiveConfig) -> Tensor:
        """The published sum: 2 · GIoU + 5 · L1 + 1 · focal with default weights."""
        return config.giou_weight * self.giou + config.l1_weight * self.l1 + config.focal_weight * self.focal


def localise(maps: HeadMaps, target: Tensor, config: ObjectiveConfig) -> Localisation:
    """Compare the head's maps with the target box `[B, 4]` xywh, normalised to the region, its centre inside it.

    The box terms read offset and size at the cell that `config.box_at` names; corners are compared after clipping the
    target to the region, as OSTrack does.
    """
    side = maps.score.shape[-1]
    centre = xywh_to_cxcywh(target)
    target_cell = (centre[:, :2] * side).long().clamp(0, side - 1)
    target_index = target_cell[:, 1] * side + target_cell[:, 0]
    best = maps.best_cell()
    boxes = maps.box_at(target_index if config.box_at == "target" else best)
    giou = (1 - iou_giou(boxes, target)[1]).mean()
    l1 = (xywh_to_xyxy(boxes) - xywh_to_xyxy(target).clamp(0, 1)).abs().mean()
    heat = gaussian_map(target, side)
    predicted = maps.box_at(best).detach()
    return Localisation(giou, l1, focal_loss(maps.score, heat), predicted, iou_giou(predicted, target)[0].detach())


def gaussian_map(target: Tensor, side: int) -> Tensor:
    """`[B, S, S]` score target: 1 in the cell of the box's centre, a Gaussian around it that grows with the box.

    The deviation is a sixth of the diameter that keeps an overlap of about 0.7 with the box (CornerNet's rule).
    """
    centre = xywh_to_cxcywh(target) * side
    cell = centre[:, :2].floor().clamp(0, side - 1)
    width, height = centre[:, 2].clamp(min=1e-3), centre[:, 3].clamp(min=1e-3)
    overlap = 0.7
    total = width + height
    radius = (total - (total**2 - 4 * width * height * (1 - overlap) / (1 + overlap)).clamp(min=0).sqrt()) / 2
    sigma = (2 * radius.floor().clamp(min=0) + 1) / 6
    axis = torch.arange(side, device=target.device, dtype=target.dtype)
    dx = (axis[None] - cell[:, :1]) ** 2
    dy = (axis[None] - cell[:, 1:]) ** 2
    return torch.exp(-(dy[:, :, None] + dx[:, None, :]) / (2 * sigma[:, None, None] ** 2))


def focal_loss(score: Tensor, heat: Tensor) -> Tensor:
    """CenterNet's focal loss (alpha 2, beta 4) of scores against a Gaussian map, both `[B, S, S]`, per positive."""
    positive = heat.eq(1).to(score.dtype)
    hit = positive * (1 - score) ** 2 * score.log()
    miss = (1 - positive) * (1 - heat) ** 4 * score**2 * (1 - score).log()
    return -(hit + miss).sum() / positive.sum().clamp(min=1)
