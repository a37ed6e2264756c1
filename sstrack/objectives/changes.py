"""Changes of appearance and motion: how a target may look in another frame. On the device, batched, seeded.

Every change takes pictures `[B, C, H, W]` (float, RGB in 0..255, then perhaps an opacity in 0..1), the target's boxes
in them `[B, 4]` (xywh, normalised to the picture) and a generator, and returns changed pictures and boxes of the same
shape. `apply_changes` decides per picture whether a change happens. Draws never depend on the outcome of others, so
that the same generator gives the same pictures on any device of one kind.

Published (copy-paste part): shear to 0.2, motion blur, one dark rectangle over 25-35 % of the box, flip; (views):
brightness to 20 %, flip, grayscale. The other changes are options.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from sstrack.boxes import xywh_to_cxcywh
from sstrack.configs.names import CHANGES

Change = Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]

_CHANGES: dict[str, Change] = {}


def uniform(shape: tuple[int, ...], generator: Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform draws on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def apply_changes(
    pictures: Tensor, boxes: Tensor, changes: tuple[tuple[str, float], ...], generator: Generator
) -> tuple[Tensor, Tensor]:
    """Apply named changes one after the other, each to about its chance of the pictures.

    Args:
        pictures: `[B, C, H, W]` float, C 3 or 4.
        boxes: `[B, 4]` xywh, normalised to the picture.
        changes: names and chances in 0..1, see `registry.parse_changes`.
    """
    for name, chance in changes:
        changed, moved = _CHANGES[name](pictures, boxes, generator)
        happens = uniform((len(pictures),), generator) < chance
        pictures = torch.where(happens[:, None, None, None], changed, pictures)
        boxes = torch.where(happens[:, None], moved, boxes)
    return pictures, boxes


def _change(function: Change) -> Change:
    name = function.__name__.lstrip("_")
    assert name in CHANGES, f"{name} has no line in registry.CHANGES"
    _CHANGES[name] = function
    return function


@_change
def _flip(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Mirrored left to right."""
    return pictures.flip(-1), torch.cat((1 - boxes[:, :1] - boxes[:, 2:3], boxes[:, 1:]), dim=-1)


@_change
def _scale(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Width and height by independent factors in 0.75..1.25 about the middle."""
    factors = uniform((len(pictures), 2), generator, 0.75, 1.25)
    return _warp(pictures, boxes, torch.diag_embed(factors))


@_change
def _shear(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Sheared along one axis by up to 0.2, made smaller so that nothing of it is lost."""
    amount = uniform((len(pictures),), generator, -0.2, 0.2)
    along_x = uniform((len(pictures),), generator) < 0.5
    matrix = torch.eye(2, device=pictures.device).repeat(len(pictures), 1, 1)
    matrix[:, 0, 1] = torch.where(along_x, amount, 0)
    matrix[:, 1, 0] = torch.where(along_x, 0, amount)
    return _warp(pictures, boxes, matrix / (1 + amount.abs())[:, None, None])


@_change
def _rotate(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Turned by up to 20 degrees about the middle, made smaller so that nothing of it is lost."""
    return _turned(pictures, boxes, uniform((len(pictures),), generator, -0.35, 0.35))


@_change
def _turn(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """As `rotate`, but by up to 75 degrees, as what rolls or tumbles."""
    return _turned(pictures, boxes, uniform((len(pictures),), generator, -1.31, 1.31))


@_change
def _brightness(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """All colours by one factor in 0.8..1.2."""
    return _recolour(pictures, pictures[:, :3] * uniform((len(pictures), 1, 1, 1), generator, 0.8, 1.2)), boxes


@_change
def _colour(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Each colour by its own factor in 0.7..1.3, and contrast by one in 0.7..1.3."""
    colours = pictures[:, :3] * uniform((len(pictures), 3, 1, 1), generator, 0.7, 1.3)
    middle = colours.mean((1, 2, 3), keepdim=True)
    return _recolour(
        pictures, (colours - middle) * uniform((len(pictures), 1, 1, 1), generator, 0.7, 1.3) + middle
    ), boxes


@_change
def _grayscale(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Without colour."""
    return _recolour(pictures, pictures[:, :3].mean(1, keepdim=True).expand(-1, 3, -1, -1)), boxes


@_change
def _noise(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """A sensor's noise with a deviation of up to 12 grey levels."""
    grains = torch.randn(pictures[:, :3].shape, generator=generator, device=pictures.device)
    return _recolour(pictures, pictures[:, :3] + grains * uniform((len(pictures), 1, 1, 1), generator, 0, 12)), boxes


@_change
def _motion_blur(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Smeared along rows and columns as a cross, over 3-20 % of the picture's side."""
    share = uniform((len(pictures),), generator, 0.03, 0.2)
    rows = _smear(pictures.shape[-2], share).to(pictures.dtype)
    columns = _smear(pictures.shape[-1], share).to(pictures.dtype)
    return (rows[:, None] @ pictures + pictures @ columns[:, None].transpose(-1, -2)) / 2, boxes


@_change
def _occlusion(pictures: Tensor, boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """One nearly black rectangle over 25-35 % of the target's box."""
    b, _, height, width = pictures.shape
    area = uniform((b,), generator, 0.25, 0.35)
    stretch = uniform((b,), generator, -0.4, 0.4).exp()
    share = torch.stack((area.sqrt() * stretch, area.sqrt() / stretch), dim=-1)
    sides = boxes[:, 2:] * share
    corner = boxes[:, :2] + (boxes[:, 2:] - sides) * uniform((b, 2), generator)
    x = (torch.arange(width, device=pictures.device) + 0.5) / width
    y = (torch.arange(height, device=pictures.device) + 0.5) / height
    in_x = (x[None] >= corner[:, :1]) & (x[None] < corner[:, :1] + sides[:, :1])
    in_y = (y[None] >= corner[:, 1:]) & (y[None] < corner[:, 1:] + sides[:, 1:])
    hidden = (in_y[:, :, None] & in_x[:, None, :])[:, None]
    shade = uniform((b, 1, 1, 1), generator, 0, 20)
    return _recolour(pictures, torch.where(hidden, shade, pictures[:, :3])), boxes


def _turned(pictures: Tensor, boxes: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Turned by `angle` `[B]` (radians, under a right angle), made smaller so that nothing is lost."""
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)
    return _warp(pictures, boxes, matrix / (cos + sin.abs())[:, None, None])


def _recolour(pictures: Tensor, colours: Tensor) -> Tensor:
    """The pictures with other colours, their opacity kept."""
    return torch.cat((colours.clamp(0, 255), pictures[:, 3:]), dim=1)


def _smear(side: int, share: Tensor) -> Tensor:
    """`[B, side, side]` row-stochastic matrices that average over `share` `[B]` of an axis of `side` pixels."""
    axis = torch.arange(side, device=share.device, dtype=share.dtype)
    reach = (share * side / 2).clamp(min=0.5)[:, None, None]
    weights = (reach + 0.5 - (axis[:, None] - axis[None]).abs()).clamp(0, 1)
    return weights / weights.sum(-1, keepdim=True)


def _warp(pictures: Tensor, boxes: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Map positions, relative to the middle, by `matrix` `[B, 2, 2]`; what comes in from outside is zero.

    Boxes become the boxes around their moved corners.
    """
    inverse = torch.linalg.inv_ex(matrix)[0]
    affine = torch.cat((inverse, torch.zeros_like(inverse[:, :, :1])), dim=-1).to(pictures.dtype)
    grid = F.affine_grid(affine, list(pictures.shape), align_corners=False)
    warped = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    centred = xywh_to_cxcywh(boxes)
    centre = (matrix @ (centred[:, :2] - 0.5)[:, :, None])[:, :, 0] + 0.5
    sides = (matrix.abs() @ centred[:, 2:, None])[:, :, 0]
    return warped, torch.cat((centre - sides / 2, sides), dim=-1)
