"""Cut regions out of whole frames and paste patches into them, batched, on any device.

A resampling from one axis-aligned rectangle to another is separable, and its weights are a triangle as wide as the
scale asks for, so shrinking is antialiased (what Pillow's `resize(BILINEAR, box=…)` computes); pixels outside the frame
count as zero. On a CPU each output row is a weighted sum of the few input rows it touches. On a GPU the weights are
written out as matrices and a crop is `rows @ image @ columns` on tensor cores: more sums, but no number is ever read
back, so the host never waits.

Shapes: B batch, C channels, H W pixels of the frame, S output side, K taps, N pixels of an axis.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sstrack.boxes import cxcywh_to_xywh, xywh_to_cxcywh


def crop(frames: Tensor, regions: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Resample one rectangle of each frame to a fixed size.

    Args:
        frames: `[B, C, H, W]`, uint8 or floating, any strides.
        regions: `[B, 4]` xywh in pixels of the frame; may reach outside it, where frames count as zero.
        size: output side S, or (height, width), in pixels.

    Returns: `[B, C, S, S]` float32; from float64 frames float64. On a GPU it is rounded to float16's grid on the way,
    0.06 grey levels at most between 128 and 255.
    """
    height, width = (size, size) if isinstance(size, int) else size
    precise = torch.float64 if frames.dtype == torch.float64 else torch.float32
    regions = regions.to(precise).clamp(min=-1e6, max=1e6)
    regions = torch.cat((regions[:, :2], regions[:, 2:].clamp(min=1e-3)), dim=1)
    if len(frames) == 0:
        return torch.empty(0, frames.shape[1], height, width, dtype=precise, device=frames.device)
    if frames.device.type == "cpu":
        return _crop_by_taps(frames, regions, height, width)
    return _crop_by_matrices(frames, regions, height, width, torch.float16).to(precise)


def _crop_by_taps(frames: Tensor, regions: Tensor, height: int, width: int) -> Tensor:
    """`crop` for few outputs per input, or many: the cost is that of the output times its taps."""
    b, c, frame_height, frame_width = frames.shape
    rows, row_weights = _taps(regions[:, 1], regions[:, 3], height, frame_height)
    columns, column_weights = _taps(regions[:, 0], regions[:, 2], width, frame_width)
    top, tall = _span(rows, frame_height)
    left, wide = _span(columns, frame_width)
    window = torch.empty(b, tall, wide, c, dtype=regions.dtype)
    for out, frame, y, x in zip(window, frames, top.tolist(), left.tolist(), strict=True):
        out.copy_(frame[:, y : y + tall, x : x + wide].permute(1, 2, 0))
    shrunk = _weigh(window.view(b, tall, -1), rows - top[:, None, None], row_weights)
    turned = _transposed(shrunk).view(b, wide, c * height)
    crops = _weigh(turned, columns - left[:, None, None], column_weights)
    return _transposed(crops).view(b, c, height, width)


def _taps(start: Tensor, length: Tensor, out: int, size: int) -> tuple[Tensor, Tensor]:
    """Pixels `[B, out, K]` (int64) of an axis of `size` pixels that each output pixel of the stretch
    `[start, start + length)` is made of, and their weights; a pixel outside the axis weighs 0 and is named as one
    inside."""
    scale = length / out
    support = scale.clamp(min=1.0)[:, None, None]
    centres = (start[:, None] + (torch.arange(out, dtype=start.dtype) + 0.5) * scale[:, None])[:, :, None]
    first = (centres - support - 0.5).floor() + 1
    pixels = first + torch.arange(math.ceil(2 * float(support.max())), dtype=start.dtype)
    weights = (1 - (pixels + 0.5 - centres).abs() / support).clamp(min=0)
    weights = weights / weights.sum(-1, keepdim=True) * ((pixels >= 0) & (pixels < size))
    return pixels.clamp(0, size - 1).long(), weights


def _span(pixels: Tensor, size: int) -> tuple[Tensor, int]:
    """First pixel `[B]` of a window that holds each sample's taps, and the windows' common length."""
    first, last = pixels.amin((1, 2)), pixels.amax((1, 2))
    length = int((last - first).max()) + 1
    return first.clamp(max=size - length), length


def _weigh(values: Tensor, pixels: Tensor, weights: Tensor) -> Tensor:
    """`[B, S, M]`: for each output the weighted sum of its taps among the rows of `values` `[B, N, M]`."""
    b, n, m = values.shape
    rows = pixels + n * torch.arange(b)[:, None, None]
    bags = F.embedding_bag(
        rows.flatten(0, 1), values.reshape(b * n, m), mode="sum", per_sample_weights=weights.flatten(0, 1)
    )
    return bags.view(b, -1, m)


def _transposed(values: Tensor) -> Tensor:
    """`[B, M, N]` from `[B, N, M]`, contiguous, matrix by matrix: torch turns those in blocks that fit its cache."""
    turned = values.new_empty(len(values), values.shape[2], values.shape[1])
    for out, matrix in zip(turned, values, strict=True):
        out.copy_(matrix.T)
    return turned


def _crop_by_matrices(frames: Tensor, regions: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """`crop` as two matrix products of the given precision."""
    rows = _axis_matrix(regions[:, 1], regions[:, 3], height, frames.shape[-2]).to(dtype)
    columns = _axis_matrix(regions[:, 0], regions[:, 2], width, frames.shape[-1]).to(dtype)
    return rows[:, None] @ frames.to(dtype) @ columns[:, None].transpose(-1, -2)


def _axis_matrix(start: Tensor, length: Tensor, out: int, size: int) -> Tensor:
    """Weights `[B, out, size]` that resample `[start, start + length)` of an axis of `size` pixels to `out` pixels."""
    scale = length / out
    support = scale.clamp(min=1.0)[:, None, None]
    centres = start[:, None] + (torch.arange(out, device=start.device, dtype=start.dtype) + 0.5) * scale[:, None]
    pixels = torch.arange(size, device=start.device, dtype=start.dtype) + 0.5
    weights = (1 - (pixels - centres[:, :, None]).abs() / support).clamp(min=0)
    return weights / _discrete_sum(centres[:, :, None] - 0.5, support)


def _discrete_sum(centre: Tensor, support: Tensor) -> Tensor:
    """Sum of `max(0, 1 - |n - centre| / support)` over all integers n, those outside the frame too."""
    below, above = centre.floor(), centre.floor() + 1
    n_below = (below - (centre - support).ceil() + 1).clamp(min=0)
    n_above = ((centre + support).floor() - above + 1).clamp(min=0)
    distance = (centre - below) * n_below + n_below * (n_below - 1) / 2
    distance = distance + (above - centre) * n_above + n_above * (n_above - 1) / 2
    return n_below + n_above - distance / support


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
    region = torch.stack(
        (-boxes[:, 0] * zoom[:, 0], -boxes[:, 1] * zoom[:, 1], width * zoom[:, 0], height * zoom[:, 1]), dim=1
    )
    layers = torch.cat((patches * alpha, alpha), dim=1)
    dtype = frames.dtype if frames.device.type == "cpu" else torch.float16
    layers = _crop_by_matrices(layers, region, height, width, dtype).to(frames.dtype)
    return torch.addcmul(layers[:, :-1], frames, 1 - layers[:, -1:])


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
