"""Box conversions and overlaps on tensors: the only place that converts between box formats.

Formats: `xywh` top-left and size, `cxcywh` centre and size, `xyxy` two corners. Public boundaries use xywh in pixels,
0-based. All functions take any leading shape `[..., 4]` and keep dtype and device.
"""

import torch
from torch import Tensor


def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """`[..., 4]` top-left and size to two corners."""
    return torch.cat((boxes[..., :2], boxes[..., :2] + boxes[..., 2:]), dim=-1)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """`[..., 4]` two corners to top-left and size."""
    return torch.cat((boxes[..., :2], boxes[..., 2:] - boxes[..., :2]), dim=-1)


def xywh_to_cxcywh(boxes: Tensor) -> Tensor:
    """`[..., 4]` top-left and size to centre and size."""
    return torch.cat((boxes[..., :2] + boxes[..., 2:] / 2, boxes[..., 2:]), dim=-1)


def cxcywh_to_xywh(boxes: Tensor) -> Tensor:
    """`[..., 4]` centre and size to top-left and size."""
    return torch.cat((boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., 2:]), dim=-1)


def iou_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Elementwise IoU and generalised IoU (Rezatofighi et al. 2019) of xywh boxes of one shape `[..., 4]`.

    Returns two tensors `[...]`; IoU in 0..1, GIoU in -1..1. Boxes of zero area give 0 rather than NaN.
    """
    a, b = xywh_to_xyxy(a), xywh_to_xyxy(b)
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    outer = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    union = area_a + area_b - inner
    tiny = torch.finfo(union.dtype).tiny
    iou = inner / union.clamp(min=tiny)
    return iou, iou - (outer - union) / outer.clamp(min=tiny)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Elementwise IoU `[...]` of xywh boxes `[..., 4]`."""
    return iou_giou(a, b)[0]


def clip_to_frame(boxes: Tensor, width: Tensor | float, height: Tensor | float, min_side: float = 0.0) -> Tensor:
    """Clip xywh boxes `[..., 4]` (pixels) to a frame of the given size, each side at least `min_side` pixels.

    `width` and `height` are scalars or broadcast over the leading shape. A box outside ends at the border.
    """
    width = torch.as_tensor(width, dtype=boxes.dtype, device=boxes.device)
    height = torch.as_tensor(height, dtype=boxes.dtype, device=boxes.device)
    left = boxes[..., 0].clamp(min=0).minimum((width - min_side).clamp(min=0))
    top = boxes[..., 1].clamp(min=0).minimum((height - min_side).clamp(min=0))
    right = (boxes[..., 0] + boxes[..., 2]).minimum(width).maximum(left + min_side)
    bottom = (boxes[..., 1] + boxes[..., 3]).minimum(height).maximum(top + min_side)
    return torch.stack((left, top, right - left, bottom - top), dim=-1)
