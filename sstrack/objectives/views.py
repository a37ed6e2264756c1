"""Random crops and appearance changes of a group, on the device, every draw from the given generator."""

import torch
from torch import Generator, Tensor

from sstrack.boxes import cxcywh_to_xywh, xywh_to_cxcywh
from sstrack.crops import crop, square_region, to_region
from sstrack.recipes import NetConfig, ObjectiveConfig


def uniform(shape: tuple[int, ...], generator: Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform draws on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def change_appearance(pictures: Tensor, config: ObjectiveConfig, generator: Generator) -> Tensor:
    """Brightness and, rarely, grayscale, drawn per picture of `[B, 3, H, W]` (float, 0..255)."""
    b = len(pictures)
    gain = uniform((b, 1, 1, 1), generator, 1 - config.brightness, 1 + config.brightness)
    gray = uniform((b, 1, 1, 1), generator) < config.grayscale
    return torch.where(gray, pictures.mean(1, keepdim=True), pictures) * gain


def template_crops(
    frames: Tensor, boxes: Tensor, net: NetConfig, config: ObjectiveConfig, generator: Generator
) -> Tensor:
    """Template crops `[B, 3, S, S]` of frames `[B, 3, H, W]` at xywh boxes `[B, 4]` (pixels), mirrored and relit."""
    pictures = crop(frames, square_region(boxes, net.template_factor), net.template_size)
    flipped = uniform((len(frames), 1, 1, 1), generator) < config.flip
    return change_appearance(torch.where(flipped, pictures.flip(-1), pictures), config, generator)


def first_frame_view(
    frames: Tensor, boxes: Tensor, net: NetConfig, config: ObjectiveConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """One augmented view of the first frame: a jittered search region, mirrored and relit.

    Args:
        frames: `[B, 3, H, W]` float; boxes: `[B, 4]` xywh pixels.

    Returns: view `[B, 3, S, S]` and the target in it, `[B, 4]` xywh normalised to the view. The centre of the target
    always lies inside the view.
    """
    b = len(frames)
    region = xywh_to_cxcywh(square_region(boxes, net.search_factor))
    scale = torch.randn((b, 1), generator=generator, device=generator.device).clamp(-2, 2) * config.scale_jitter
    side = region[:, 2:] * scale.exp()
    reach = torch.minimum(config.centre_jitter / 2 * region[:, 2:] / net.search_factor, side * 0.45)
    shift = uniform((b, 2), generator, -1.0, 1.0) * reach
    region = cxcywh_to_xywh(torch.cat((region[:, :2] + shift, side), dim=-1))
    view = crop(frames, region, net.search_size)
    target = to_region(boxes, region)
    flipped = uniform((b, 1), generator) < config.flip
    mirrored = torch.cat((1 - target[:, :1] - target[:, 2:3], target[:, 1:]), dim=-1)
    view = torch.where(flipped[:, :, None, None], view.flip(-1), view)
    return change_appearance(view, config, generator), torch.where(flipped, mirrored, target)
