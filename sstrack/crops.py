"""Cut regions out of whole frames and paste patches into them, batched, on any device.

A resampling from one axis-aligned rectangle to another is separable, so a crop is two small matrix products per frame:
`rows @ image @ columns`. The matrices hold triangle weights as wide as the scale asks for, so shrinking is antialiased
(what Pillow's `resize(BILINEAR, box=…)` computes), and pixels outside the frame count as zero.

Shapes: B batch, C channels, H W pixels of the frame, S output side.
"""

import torch
from torch import Tensor

from sstrack.boxes import cxcywh_to_xywh, xywh_to_cxcywh


def _axis_weights(start: Tensor, length: Tensor, out: int, size: int, window: int) -> tuple[Tensor, Tensor]:
    """Weights `[B, out, window]` that resample `[start, start + length)` of an axis of `size` pixels to `out` pixels,
    and the first pixel `[B]` (int64) of the window of that axis that they apply to."""
    scale = length / out
    support = scale.clamp(min=1.0)[:, None, None]
    first = (start - support[:, 0, 0]).floor().clamp(min=0).clamp(max=size - window)
    centres = start[:, None] + (torch.arange(out, device=start.device, dtype=start.dtype) + 0.5) * scale[:, None]
    pixels = first[:, None, None] + torch.arange(window, device=start.device, dtype=start.dtype) + 0.5
    weights = (1 - (pixels - centres[:, :, None]).abs() / support).clamp(min=0)
    return weights / _discrete_sum(centres[:, :, None] - 0.5, support), first.long()


def _window(length: Tensor, out: int, size: int) -> int:
    """Pixels of an axis that the longest of the given stretches `[B]` can touch, at most all `size` of them.

    On a GPU always all: finding less would make it wait for the numbers, which costs more than the longer product.
    """
    if length.device.type != "cpu":
        return size
    longest = float(length.max())
    return min(size, int(longest + 2 * max(longest / out, 1.0)) + 3)


def _discrete_sum(centre: Tensor, support: Tensor) -> Tensor:
    """Sum of `max(0, 1 - |n - centre| / support)` over all integers n, those outside the frame too."""
    below, above = centre.floor(), centre.floor() + 1
    n_below = (below - (centre - support).ceil() + 1).clamp(min=0)
    n_above = ((centre + support).floor() - above + 1).clamp(min=0)
    distance = (centre - below) * n_below + n_below * (n_below - 1) / 2
    distance = distance + (above - centre) * n_above + n_above * (n_above - 1) / 2
    return n_below + n_above - distance / support


def crop(frames: Tensor, regions: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Resample one rectangle of each frame to a fixed size.

    Args:
        frames: `[B, C, H, W]` float.
        regions: `[B, 4]` xywh in pixels of the frame; may reach outside it, where frames count as zero.
        size: output side S, or (height, width), in pixels.

    Returns: `[B, C, S, S]` float.
    """
    height, width = (size, size) if isinstance(size, int) else size
    frame_height, frame_width = frames.shape[-2:]
    regions = regions.to(frames.dtype).clamp(min=-1e6, max=1e6)
    sides = regions[:, 2:].clamp(min=1e-3)
    tall, wide = _window(sides[:, 1], height, frame_height), _window(sides[:, 0], width, frame_width)
    rows, top = _axis_weights(regions[:, 1], sides[:, 1], height, frame_height, tall)
    columns, left = _axis_weights(regions[:, 0], sides[:, 0], width, frame_width, wide)
    if (tall, wide) != (frame_height, frame_width):
        corners = zip(frames, top.tolist(), left.tolist(), strict=True)
        frames = torch.stack([frame[:, y : y + tall, x : x + wide] for frame, y, x in corners])
    return rows[:, None] @ frames @ columns[:, None].transpose(-1, -2)


def paste(frames: Tensor, patches: Tensor, alpha: Tensor, boxes: Tensor) -> Tensor:
    """Lay each patch over its frame so that the patch fills its box.

    Args:
        frames: `[B, C, H, W]` float.
        patches: `[B, C, P, P]` float.
        alpha: `[B, 1, P, P]` float in 0..1, the patch's opacity.
        boxes: `[B, 4]` xywh in pixels of the frame; parts outside the frame are cut off.

    Returns: `[B, C, H, W]`, new frames.
    """
    height, width, side = frames.shape[-2], frames.shape[-1], patches.shape[-1]
    boxes = boxes.to(frames.dtype)
    zoom = side / boxes[:, 2:].clamp(min=1e-3)
    rows, _ = _axis_weights(-boxes[:, 1] * zoom[:, 1], height * zoom[:, 1], height, side, side)
    columns, _ = _axis_weights(-boxes[:, 0] * zoom[:, 0], width * zoom[:, 0], width, side, side)
    layers = rows[:, None] @ torch.cat((patches * alpha, alpha), dim=1) @ columns[:, None].transpose(-1, -2)
    colour, opacity = layers[:, :-1], layers[:, -1:]
    return frames * (1 - opacity) + colour


def square_region(boxes: Tensor, factor: float | Tensor) -> Tensor:
    """Square xywh region `[B, 4]` centred on each xywh box, its side `factor` times the root of its area (≥ 1 px)."""
    centred = xywh_to_cxcywh(boxes)
    side = (centred[..., 2:].clamp(min=1.0).prod(-1).sqrt() * factor).clamp(min=1.0)
    return cxcywh_to_xywh(torch.stack((centred[..., 0], centred[..., 1], side, side), dim=-1))


def whole_frame_region(sizes: Tensor) -> Tensor:
    """Square xywh region `[B, 4]` over whole frames: its side the longer of `sizes` `[B, 2]` (width, height)."""
    side = sizes.amax(-1).to(torch.float32)
    zero = torch.zeros_like(side)
    return torch.stack((zero, zero, side, side), dim=-1)


def to_region(boxes: Tensor, regions: Tensor) -> Tensor:
    """xywh boxes in pixels of the frame to xywh normalised to their region (0..1 inside it), both `[..., 4]`."""
    return torch.cat(
        ((boxes[..., :2] - regions[..., :2]) / regions[..., 2:], boxes[..., 2:] / regions[..., 2:]), dim=-1
    )


def from_region(boxes: Tensor, regions: Tensor) -> Tensor:
    """Inverse of `to_region`: normalised xywh boxes back to pixels of the frame."""
    return torch.cat((boxes[..., :2] * regions[..., 2:] + regions[..., :2], boxes[..., 2:] * regions[..., 2:]), dim=-1)
