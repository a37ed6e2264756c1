"""Localisation loss of one search region: GIoU and L1 on the box, focal loss on the score map."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sstrack.boxes import iou_giou, xywh_to_cxcywh, xywh_to_xyxy, xyxy_to_xywh
from sstrack.configs.objective import ObjectiveConfig
from sstrack.models.head import HeadMaps


@dataclass(frozen=True)
class Localisation:
    """Loss terms per sample `[B]`, unweighted, the predicted boxes `[B, 4]`, normalised xywh, their IoU `[B]`, and the
    target boxes `[B, 4]` they were compared with."""

    giou: Tensor
    l1: Tensor
    focal: Tensor
    boxes: Tensor
    iou: Tensor
    target: Tensor

    def total(self, config: ObjectiveConfig, weights: Tensor | None = None) -> Tensor:
        """The published sum, 2 · GIoU + 5 · L1 + 1 · focal with default weights, as a mean over samples (scalar).

        `weights` `[B]` of at least 0 say how much each sample counts; where all are 0 the sum is 0.
        """
        terms = config.giou_weight * self.giou + config.l1_weight * self.l1 + config.focal_weight * self.focal
        return terms.mean() if weights is None else (terms * weights).sum() / weights.sum().clamp(min=1e-6)

    def metrics(self) -> dict[str, Tensor]:
        """Means of the terms, detached."""
        return {name: getattr(self, name).detach().mean() for name in ("giou", "l1", "focal")}


def localise(maps: HeadMaps, target: Tensor, config: ObjectiveConfig) -> Localisation:
    """Compare the head's maps with the target box `[B, 4]` xywh, normalised to the region, its centre inside it.

    The box terms read offset and size at the cell that `config.box_at` names and compare them with the target as far
    as it lies in the region, as OSTrack does. Half-precision maps are compared in float32.
    """
    maps = _full_precision(maps)
    side = maps.score.shape[-1]
    centre = xywh_to_cxcywh(target)
    target_cell = (centre[:, :2] * side).long().clamp(0, side - 1)
    best = maps.best_cell()
    boxes = maps.box_at(_supervised(config.box_at, best, target_cell, side))
    inside = xywh_to_xyxy(target).clamp(0, 1)
    giou = 1 - iou_giou(boxes, xyxy_to_xywh(inside))[1]
    l1 = (xywh_to_xyxy(boxes) - inside).abs().mean(-1)
    predicted = maps.box_at(best).detach()
    overlap = iou_giou(predicted, xyxy_to_xywh(inside))[0].detach()
    return Localisation(giou, l1, focal_loss(maps.score, gaussian_map(target, side)), predicted, overlap, target)


def _supervised(box_at: str, best: Tensor, target_cell: Tensor, side: int) -> Tensor:
    """Flat cells `[B]` at which offset and size are compared with the target, whose cell is `[B, 2]` (column, row)."""
    target = target_cell[:, 1] * side + target_cell[:, 0]
    if box_at == "predicted":
        return best
    if box_at == "target":
        return target
    away = torch.stack((best % side, best // side), dim=-1) - target_cell
    return torch.where((away.abs() <= 1).all(-1), best, target)


def _full_precision(maps: HeadMaps) -> HeadMaps:
    """Maps in float32 or better; in half precision a score near 1 is 1, and its logarithm's partner infinite."""
    score, offset, size = (
        x.to(torch.promote_types(x.dtype, torch.float32)) for x in (maps.score, maps.offset, maps.size)
    )
    return HeadMaps(score.clamp(1e-4, 1 - 1e-4), offset, size)


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
    """CenterNet's focal loss (alpha 2, beta 4) of scores in 0..1 against Gaussian maps, both `[B, S, S]`.

    Returns `[B]`: the loss per positive cell, of which each map has one.
    """
    positive = heat.eq(1).to(score.dtype)
    hit = positive * (1 - score) ** 2 * score.log()
    miss = (1 - positive) * (1 - heat) ** 4 * score**2 * (1 - score).log()
    return -(hit + miss).sum((1, 2)) / positive.sum((1, 2)).clamp(min=1)
