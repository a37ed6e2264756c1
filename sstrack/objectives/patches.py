"""Cut-out targets as they look elsewhere: outlined, changed, and with the exact box that is left of them.

Shapes: n patches, P side of a patch.
"""

import torch
from torch import Generator, Tensor

from sstrack.crops import crop, paste
from sstrack.objectives.changes import apply_changes, uniform

PATCH = 64
"""Side in pixels to which targets are resampled before they are pasted into a search region."""
_FLAT, _SMOOTH = 12.0, 3.0
"""A box shows nothing that could be found again if its grey levels deviate by less than the first, or if neighbours
among its 24 pixels a side differ by less than the second on average."""


def outlined(pictures: Tensor, generator: Generator) -> Tensor:
    """Pictures `[n, 3, P, P]` with an opacity, `[n, 4, P, P]`: an ellipse, the whole, or the whole with soft edges."""
    n, _, side, _ = pictures.shape
    axis = torch.linspace(-1, 1, side, device=pictures.device)
    ellipse = ((1 - torch.hypot(axis[:, None], axis[None])) * side / 4).clamp(0, 1)
    edge = ((1 - axis.abs()) * side / 6).clamp(0, 1)
    shapes = torch.stack((ellipse, torch.ones_like(ellipse), edge[:, None] * edge[None]))
    drawn = torch.randint(0, len(shapes), (n,), generator=generator, device=generator.device)
    return torch.cat((pictures, shapes[drawn][:, None]), dim=1)


def changed(patches: Tensor, changes: tuple[tuple[str, float], ...], generator: Generator) -> tuple[Tensor, Tensor]:
    """Changed patches `[n, 4, P, P]`, cut to what can be seen of them, and the sides `[n, 2]` of that over the sides of
    the patches before."""
    side = patches.shape[-1]
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0], device=patches.device).expand(len(patches), 4)
    moved, _ = apply_changes(patches, whole, changes, generator)
    seen = _seen(moved[:, 3])
    cut = crop(moved, seen * side, side)
    return torch.cat((cut[:, :3], cut[:, 3:].clamp(0, 1)), dim=1), seen[:, 2:]


def _seen(opacity: Tensor) -> Tensor:
    """Boxes `[n, 4]` (xywh over the side) around what is more opaque than not in `[n, P, P]`."""
    side = opacity.shape[-1]
    ends: list[Tensor] = []
    for axis in (-2, -1):  # over rows for the columns, then over columns for the rows
        line = (opacity.amax(axis) > 0.5).to(opacity.dtype)
        first, last = line.argmax(1), side - line.flip(1).argmax(1)
        ends.append(torch.stack((first, last - first)))
    (x, w), (y, h) = ends
    return torch.stack((x, y, w, h), dim=1) / side


def lay(pictures: Tensor, patches: Tensor, boxes: Tensor, shown: Tensor | None = None) -> Tensor:
    """Patches `[n, 4, P, P]` over square pictures `[n, 3, S, S]` at boxes `[n, 4]` (xywh over the side); where `shown`
    `[n]` is false nothing is laid."""
    alpha = patches[:, 3:] if shown is None else patches[:, 3:] * shown[:, None, None, None]
    return paste(pictures, patches[:, :3], alpha, boxes * pictures.shape[-1])


def random_boxes(sizes: Tensor, generator: Generator) -> Tensor:
    """xywh boxes `[n, 4]` (pixels) in pictures of the given sizes `[n, 2]`: sides from 7 to 40 % of the shorter one,
    up to three times as wide as high or as high as wide."""
    n = len(sizes)
    side = sizes.amin(-1) * log_uniform((n,), generator, 0.07, 0.4)
    stretch = log_uniform((n,), generator, 3**-0.5, 3**0.5)
    sides = torch.minimum(torch.stack((side * stretch, side / stretch), dim=-1), sizes * 0.6)
    return torch.cat((uniform((n, 2), generator) * (sizes - sides), sides), dim=-1)


def textured(frames: Tensor, boxes: Tensor) -> Tensor:
    """`[n]` bool: whether boxes `[n, 4]` (xywh pixels) of frames `[n, 3, H, W]` show something to be found again."""
    cuts = crop(frames, boxes, 24)
    down, across = cuts.diff(dim=-2).abs().mean((1, 2, 3)), cuts.diff(dim=-1).abs().mean((1, 2, 3))
    return (cuts.std((1, 2, 3)) >= _FLAT) & ((down + across) / 2 >= _SMOOTH)


def log_uniform(shape: tuple[int, ...], generator: Generator, low: float, high: float) -> Tensor:
    """Draws whose logarithm is uniform."""
    return low * (high / low) ** uniform(shape, generator)
