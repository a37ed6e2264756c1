"""Copy-paste augmentation: the targets of other clips of the group, pasted into a clip's frames.

A pasted target's box is known in every frame without any label. Other targets are pasted beside it, so that being
pasted says nothing about being the target.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sstrack.crops import crop, paste
from sstrack.objectives.views import uniform
from sstrack.recipes import ObjectiveConfig

_PATCH = 48
"""Side in pixels to which donors' targets are resampled before they are pasted."""


@dataclass(frozen=True)
class PastedClips:
    """A group after copy-paste."""

    frames: Tensor
    """`[B, F, 3, H, W]` float."""
    boxes: Tensor
    """`[B, F, 4]` xywh in pixels: the target where it is known, which is the first frame for all samples and every
    frame for those in `pasted`; NaN elsewhere."""
    pasted: Tensor
    """`[B]` bool."""


def copy_paste(
    frames: Tensor, sizes: Tensor, seeds: Tensor, share: float, config: ObjectiveConfig, generator: Generator
) -> PastedClips:
    """Paste donors of the same group into about `share` (0..1) of the samples.

    Args:
        frames: `[B, F, 3, H, W]` float; sizes: `[B, 2]` (width, height); seeds: `[B, 4]` xywh on the first frames.
    """
    b, f = frames.shape[:2]
    boxes = torch.full((b, f, 4), float("nan"), device=frames.device)
    boxes[:, 0] = seeds
    pasted = uniform((b,), generator) < share
    hosts = pasted.nonzero()[:, 0]
    if len(hosts) == 0 or b < 2:
        return PastedClips(frames, boxes, torch.zeros_like(pasted))
    objects = config.paste_distractors + 1
    offsets = torch.stack([torch.randperm(b - 1, generator=generator, device=frames.device) for _ in hosts])
    offsets = offsets[:, torch.arange(objects) % (b - 1)] + 1
    donors = (hosts[:, None] + offsets) % b
    patches = crop(frames[:, 0], seeds, _PATCH)
    frames = frames.clone()
    # Distractors first, the target last, so that nothing covers it.
    for j in reversed(range(objects)):
        alpha = _opacity(len(hosts), frames.device, generator)
        sides = _paste_sides(seeds[donors[:, j]], sizes[hosts], generator)
        mirrored = uniform((len(hosts), 1, 1, 1), generator) < config.flip
        patch = torch.where(mirrored, patches[donors[:, j]].flip(-1), patches[donors[:, j]])
        for t in range(f):
            change = uniform((len(hosts), 2), generator, 1 - config.paste_scale, 1 + config.paste_scale)
            box = _place(sides * change, sizes[hosts], generator)
            gain = uniform((len(hosts), 1, 1, 1), generator, 1 - config.brightness, 1 + config.brightness)
            frames[hosts, t] = paste(frames[hosts, t], (patch * gain).clamp(0, 255), alpha, box)
            if j == 0:
                boxes[hosts, t] = box
    return PastedClips(frames, boxes, pasted)


def _opacity(n: int, device: torch.device, generator: Generator) -> Tensor:
    """`[n, 1, P, P]`: a full rectangle (as published) or an ellipse, which leaves the donor's background behind."""
    axis = torch.linspace(-1, 1, _PATCH, device=device)
    ellipse = ((1 - torch.hypot(axis[:, None], axis[None])) * _PATCH / 4).clamp(0, 1)
    rectangle = torch.ones_like(ellipse)
    return torch.where(uniform((n, 1, 1, 1), generator) < 0.5, rectangle, ellipse)


def _paste_sides(seeds: Tensor, sizes: Tensor, generator: Generator) -> Tensor:
    """`[n, 2]` width and height of a pasted target: as its donor shows it, within a tenth and a half of the host."""
    short = sizes.amin(-1, keepdim=True)
    side = seeds[:, 2:].prod(-1, keepdim=True).sqrt().clamp(min=1.0)
    wanted = (side * uniform((len(seeds), 1), generator, 0.7, 1.4)).maximum(short * 0.1).minimum(short * 0.35)
    return (seeds[:, 2:] * wanted / side).minimum(sizes * 0.5)


def _place(sides: Tensor, sizes: Tensor, generator: Generator) -> Tensor:
    """xywh boxes `[n, 4]` of the given sides, uniformly inside frames of the given sizes."""
    room = (sizes - sides).clamp(min=0)
    return torch.cat((room * uniform((len(sides), 2), generator), sides), dim=-1)
