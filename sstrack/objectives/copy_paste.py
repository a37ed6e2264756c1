"""Copy-paste augmentation: the targets of other clips of the group, pasted into a clip's frames.

A pasted target's box is known in every frame without any label. Other targets are pasted beside it, so that being
pasted says nothing about being the target.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sstrack.boxes import xywh_to_xyxy, xyxy_to_xywh
from sstrack.configs.names import parse_changes
from sstrack.configs.objective import ObjectiveConfig
from sstrack.crops import crop, paste
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.changes import apply_changes, uniform


@dataclass(frozen=True)
class PastedClips:
    """A group after copy-paste."""

    frames: Tensor
    """`[B, F, 3, H, W]` float."""
    sizes: Tensor
    """`[B, 2]` (width, height) of the true pictures."""
    boxes: Tensor
    """`[B, F, 4]` xywh in pixels: the target where it is known. On the first frame that is the seed or the pasted box;
    on later frames the pasted box of samples in `pasted`, the label of others, NaN where they have none."""
    pasted: Tensor
    """`[B]` bool: a box on a later frame is a pasted one, known without labels."""


def copy_paste(
    batch: ClipBatch, share: float, patch_size: int, config: ObjectiveConfig, generator: Generator
) -> PastedClips:
    """Paste donors of the same group into `share` (0..1) of the samples, rounded up or down by the generator's seed.

    Args:
        patch_size: side in pixels to which donors' targets are resampled before they are pasted.
    """
    frames, boxes = batch.frames.float(), batch.boxes.clone()
    boxes[:, 0] = batch.seeds
    b, f = frames.shape[:2]
    device = frames.device
    # Rounding by the seed, which the host knows, instead of a draw, which it would have to wait for.
    count = 0 if b < 2 else int(share * b + (generator.initial_seed() % 10_007) / 10_007)
    order = torch.rand(b, generator=generator, device=device).argsort()
    hosts, pasted = order[:count], torch.zeros(b, dtype=torch.bool, device=device)
    if count == 0:
        return PastedClips(frames, batch.sizes, boxes, pasted)
    pasted[hosts] = True
    others = torch.rand((count, b - 1), generator=generator, device=device).argsort(1) + 1
    sizes = batch.sizes[hosts].repeat_interleave(f, 0)
    cut = crop(frames[:, 0], batch.seeds, patch_size)
    canvas = frames[hosts].flatten(0, 1)
    box = boxes[hosts].flatten(0, 1)
    # Distractors first, the target last, so that nothing covers it.
    for j in reversed(range(config.paste_distractors + 1)):
        donors = (hosts + others[:, j % (b - 1)]) % b
        patch, sides = _patches(cut[donors], batch.seeds[donors], batch.sizes[hosts], f, config, generator)
        box = _place(sides, sizes, generator)
        canvas = paste(canvas, patch[:, :3], patch[:, 3:], box)
    frames, boxes = frames.clone(), boxes.clone()
    frames[hosts] = canvas.unflatten(0, (count, f))
    boxes[hosts] = box.unflatten(0, (count, f))
    return PastedClips(frames, batch.sizes, boxes, pasted)


def _patches(
    pictures: Tensor, seeds: Tensor, hosts: Tensor, f: int, config: ObjectiveConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Targets `[n, 3, P, P]` as each of `f` frames of their hosts shows them: `[n * f, 4, P, P]`, and sides in pixels.

    A target keeps its outline, size and mirroring over its frames; everything else is drawn for each frame.
    """
    n, _, side, _ = pictures.shape
    mirrored = uniform((n, 1, 1, 1), generator) < 0.5
    patch = torch.cat((torch.where(mirrored, pictures.flip(-1), pictures), _opacity(n, side, config, generator)), dim=1)
    patch = patch.repeat_interleave(f, 0)
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0], device=patch.device).expand(n * f, 4)
    patch, around = apply_changes(patch, whole, parse_changes(config.paste_changes), generator)
    around = xyxy_to_xywh(xywh_to_xyxy(around).clamp(0, 1))
    patch = crop(patch, around * side, side)
    sides = _sides(seeds, hosts, config, generator).repeat_interleave(f, 0) * around[:, 2:]
    sides = sides * uniform((n * f, 2), generator, 1 - config.paste_scale, 1 + config.paste_scale)
    return torch.cat((patch[:, :3], patch[:, 3:].clamp(0, 1)), dim=1), sides


def _opacity(n: int, side: int, config: ObjectiveConfig, generator: Generator) -> Tensor:
    """`[n, 1, P, P]`: a full rectangle (as published) or an ellipse, which leaves the donor's background behind."""
    axis = torch.linspace(-1, 1, side, device=generator.device)
    ellipse = ((1 - torch.hypot(axis[:, None], axis[None])) * side / 4).clamp(0, 1)
    rectangle = torch.ones_like(ellipse)
    if config.paste_shape == "rectangle":
        return rectangle.expand(n, 1, -1, -1)
    return torch.where(uniform((n, 1, 1, 1), generator) < 0.5, rectangle, ellipse)


def _sides(seeds: Tensor, hosts: Tensor, config: ObjectiveConfig, generator: Generator) -> Tensor:
    """`[n, 2]` width and height of pasted targets in hosts of the given sizes `[n, 2]`.

    As their donor shows them, or that brought to between a tenth and a third of the host's shorter side. A native
    target that fills more than half of a side of its host is made smaller (published: drawn anew).
    """
    wanted = seeds[:, 2:].clamp(min=1.0)
    if config.paste_size == "relative":
        short = hosts.amin(-1, keepdim=True)
        side = wanted.prod(-1, keepdim=True).sqrt()
        new = (side * uniform((len(seeds), 1), generator, 0.7, 1.4)).maximum(short * 0.1).minimum(short * 0.35)
        wanted = wanted * new / side
    return wanted * (hosts * 0.5 / wanted).amin(-1, keepdim=True).clamp(max=1.0)


def _place(sides: Tensor, sizes: Tensor, generator: Generator) -> Tensor:
    """xywh boxes `[n, 4]` of the given sides, uniformly inside frames of the given sizes."""
    room = (sizes - sides).clamp(min=0)
    return torch.cat((room * uniform((len(sides), 2), generator), sides), dim=-1)
