"""Template pictures: the target in the middle of a square crop and, where a network asks for it, where it lies in it.

A crop of a target looks the same whether the target is wide or tall, a head or a whole person. A fourth channel says
which pixels are the target's, so that a box of any extent can be asked for.

Shapes: B batch, S side of a template.
"""

import torch
from torch import Tensor

from sstrack.configs.net import NetConfig
from sstrack.crops import crop, square_region, to_region


def cut_templates(frames: Tensor, boxes: Tensor, net: NetConfig) -> Tensor:
    """Templates `[B, C, S, S]` of frames `[B, 3, H, W]` at xywh boxes `[B, 4]` (pixels)."""
    region = square_region(boxes, net.template_factor)
    return with_target(crop(frames, region, net.template_size), to_region(boxes, region), net)


def with_target(pictures: Tensor, boxes: Tensor, net: NetConfig) -> Tensor:
    """Pictures `[B, 3, S, S]` as the network takes them: as they are or, if `net.mark_target`, with a fourth channel
    of how much of each pixel the box `[B, 4]` (xywh, normalised to the picture) covers, 0..255."""
    if not net.mark_target:
        return pictures
    columns = _covered(boxes[:, 0], boxes[:, 2], pictures.shape[-1])
    rows = _covered(boxes[:, 1], boxes[:, 3], pictures.shape[-2])
    return torch.cat((pictures, 255 * (rows[:, :, None] * columns[:, None])[:, None]), dim=1)


def _covered(start: Tensor, length: Tensor, pixels: int) -> Tensor:
    """`[B, pixels]`: share of each pixel of an axis that lies in `[start, start + length)`, both over the axis."""
    left = torch.arange(pixels, device=start.device, dtype=start.dtype)
    low, high = start[:, None] * pixels, (start + length)[:, None] * pixels
    return (torch.minimum(high, left + 1) - torch.maximum(low, left)).clamp(0, 1)
