"""Templates and jittered search regions of a group, cut and changed on the device, drawn from the given generator."""

import torch
from torch import Generator, Tensor

from sstrack.boxes import cxcywh_to_xywh, xywh_to_cxcywh
from sstrack.configs.names import parse_changes
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.crops import crop, square_region, to_region
from sstrack.objectives.changes import apply_changes, uniform
from sstrack.templates import with_target


def template_crops(
    frames: Tensor, boxes: Tensor, net: NetConfig, config: ObjectiveConfig, generator: Generator
) -> Tensor:
    """Changed template crops `[B, C, S, S]` of frames `[B, 3, H, W]` at xywh boxes `[B, 4]` (pixels)."""
    region = square_region(boxes, net.template_factor)
    pictures = crop(frames, region, net.template_size)
    changes = parse_changes(config.view_changes)
    return with_target(*apply_changes(pictures, to_region(boxes, region), changes, generator), net)


def search_view(
    frames: Tensor, boxes: Tensor, net: NetConfig, config: ObjectiveConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """One augmented view of a frame: a search region, its centre and size jittered, then changed.

    Args:
        frames: `[B, 3, H, W]` float; boxes: `[B, 4]` xywh pixels.

    Returns: view `[B, 3, S, S]` and the target in it, `[B, 4]` xywh normalised to the view. The centre of the target
    always lies inside the view.
    """
    region = jittered_region(boxes, net, config, generator)
    view, target = crop(frames, region, net.search_size), to_region(boxes, region)
    view, target = apply_changes(view, target, parse_changes(config.view_changes), generator)
    centre = xywh_to_cxcywh(target)
    return view, cxcywh_to_xywh(torch.cat((centre[:, :2].clamp(0, 1), centre[:, 2:]), dim=-1))


def jittered_region(boxes: Tensor, net: NetConfig, config: ObjectiveConfig, generator: Generator) -> Tensor:
    """Square search regions `[B, 4]` around xywh boxes `[B, 4]` (pixels), their centres and sizes jittered."""
    b = len(boxes)
    region = xywh_to_cxcywh(square_region(boxes, net.search_factor))
    scale = torch.randn((b, 1), generator=generator, device=generator.device).clamp(-2, 2) * config.scale_jitter
    side = region[:, 2:] * scale.exp()
    # Published views may lose their target; a changed view keeps this margin of a twentieth.
    reach = torch.minimum(config.centre_jitter / 2 * region[:, 2:] / net.search_factor, side * 0.45)
    shift = uniform((b, 2), generator, -1.0, 1.0) * reach
    return cxcywh_to_xywh(torch.cat((region[:, :2] + shift, side), dim=-1))
