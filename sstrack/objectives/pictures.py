"""What a network is taught with at one step, as a picture: one row of tiles per sample, from left to right the first
frame, the searches on the way, the templates they left, and the searches that the loss is taken in.

White boxes are known, green ones found. Text is left to the caller: it gets the words and where they belong.

Shapes: N samples shown, T templates, S cells per side, P pixels per tile.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor

from sstrack.boxes import iou, xywh_to_xyxy
from sstrack.crops import crop, to_region, whole_frame_region
from sstrack.models.head import HeadMaps
from sstrack.models.tracker_net import NetOutput
from sstrack.objectives.base import ClipBatch, Network, Objective, Shown
from sstrack.objectives.template_use import TemplateProbe

KNOWN = (255, 255, 255)
FOUND = (60, 220, 60)
_HEAT = ((0, 0, 0), (150, 30, 80), (250, 130, 40), (255, 245, 190))
"""Colours of scores from 0 to the map's highest."""


@dataclass(frozen=True)
class TrainingPicture:
    """Tiles in rows and columns, and their words."""

    pixels: NDArray[np.uint8]
    """`[rows * tile, columns * tile, 3]` RGB."""
    tile: int
    """Side of a tile in pixels."""
    columns: tuple[str, ...]
    """What each column shows."""
    notes: tuple[tuple[str, ...], ...]
    """For each row a few characters per tile, perhaps none: a score beside its map, an overlap (IoU) in its view."""


@torch.no_grad()
def training_picture(
    net: Network,
    objective: Objective,
    batch: ClipBatch,
    generator: Generator,
    progress: float,
    samples: int = 4,
    tile: int = 112,
) -> TrainingPicture:
    """Show the searches of one group.

    Args:
        net: best in evaluation mode; nothing here changes its mode, its statistics or any generator but the given one.
        objective: what it is trained with.
        batch: the group, whole, as pasted targets come from the other samples.
        generator: of the seed with which the group was trained, to see the views it was trained on.
        progress: 0..1, the share of training done.
        samples: rows, at most the group has.
        tile: side of a tile in pixels.
    """
    rows = min(samples, len(batch.frames))
    calls = _Calls(net, rows)
    shown = objective.shown(calls, batch, generator, progress)
    behind = len(calls.searches) - len(shown.found)
    columns = [_first_frames(shown, rows, tile)]
    for index in range(behind):
        columns += _searched(calls, index, f"forward {index + 1}", None, tile)
    for index, template in enumerate(_distinct(calls.templates[behind:])):
        columns.append(_Column(f"template {index + 1}", _pictures(template[:, :3], tile)))
    for index, found in enumerate(shown.found):
        view = _searched(calls, behind + index, f"search {index + 1}", found.target[:rows], tile)
        view[0].notes = [_words(iou) for iou in found.iou[:rows].tolist()]
        columns += view
        if shown.masks:
            columns.append(_pooled(calls.searches[behind + index], shown.masks[index][:rows], tile))
    return _as_picture(columns, rows, tile)


def _as_picture(columns: list["_Column"], rows: int, tile: int) -> TrainingPicture:
    pixels = np.concatenate([column.pictures for column in columns], axis=2)
    return TrainingPicture(
        pixels.reshape(-1, *pixels.shape[2:]),
        tile,
        tuple(column.name for column in columns),
        tuple(zip(*(column.notes or [""] * rows for column in columns), strict=True)),
    )


@torch.no_grad()
def probe_picture(net: Network, probe: TemplateProbe, samples: int = 8, tile: int = 112) -> TrainingPicture:
    """Each of the first `samples` regions of a probe searched with the right template, with none, and with another
    target's, which stand before what they found; the number is the overlap (IoU) with the right target."""
    rows = min(samples, len(probe.regions))
    right, target = probe.templates[:rows], probe.targets[:rows]
    given = {"right": right, "black": torch.zeros_like(right), "foreign": probe.templates.roll(1, 0)[:rows]}
    calls = _Calls(net, rows)
    columns: list[_Column] = []
    for index, (name, templates) in enumerate(given.items()):
        maps = calls(templates[:, None], probe.regions[:rows]).maps
        overlap = iou(maps.box_at(maps.best_cell()).float(), target)
        found = _searched(calls, index, "found", target, tile)[0]
        found.notes = [_words(value) for value in overlap.tolist()]
        columns += [_Column(name, _pictures(templates[:, :3], tile)), found]
    return _as_picture(columns, rows, tile)


class _Calls:
    """A network that remembers, for the first rows of a batch, what it was given and what it found."""

    def __init__(self, net: Network, rows: int) -> None:
        self._net, self._rows = net, rows
        self.templates: list[Tensor] = []
        self.searches: list[Tensor] = []
        self.maps: list[HeadMaps] = []

    def __call__(
        self, templates: Tensor, search: Tensor, query: Tensor | None = None, eliminate: float = 1.0
    ) -> NetOutput:
        output = self._net(templates, search, query, eliminate)
        maps = output.maps
        self.templates.append(self._of_first(templates))
        self.searches.append(self._of_first(search))
        self.maps.append(HeadMaps(*map(self._of_first, (maps.score, maps.offset, maps.size))))
        return output

    def _of_first(self, values: Tensor) -> Tensor:
        """The first rows; a call for fewer samples, which are the batch's first, leaves the rest black."""
        kept = values[: self._rows]
        return torch.cat((kept, kept.new_zeros(self._rows - len(kept), *kept.shape[1:])))


@dataclass
class _Column:
    name: str
    pictures: NDArray[np.uint8]
    """`[N, P, P, 3]`."""
    notes: list[str] = field(default_factory=list[str])


def _first_frames(shown: Shown, rows: int, tile: int) -> _Column:
    region = whole_frame_region(shown.sizes[:rows])
    pictures = _as_bytes(crop(shown.frames[:rows], region, tile))
    _draw(pictures, to_region(shown.boxes[:rows], region), KNOWN)
    return _Column("first frame", pictures)


def _searched(calls: _Calls, index: int, name: str, target: Tensor | None, tile: int) -> list[_Column]:
    """A search region with its boxes, and its score map."""
    maps = calls.maps[index]
    pictures = _pictures(calls.searches[index], tile)
    if target is not None:
        _draw(pictures, target, KNOWN)
    best = maps.best_cell()
    _draw(pictures, maps.box_at(best).float(), FOUND)
    score = maps.score.float()
    relative = F.interpolate((score / score.amax((1, 2), keepdim=True).clamp(min=1e-6))[:, None], (tile, tile))[:, 0]
    levels = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(relative.cpu().numpy(), levels, [colour[c] for colour in _HEAT]) for c in range(3)]
    heat = np.stack(channels, axis=-1).astype(np.uint8)
    return [
        _Column(name, pictures),
        _Column("score", heat, [_words(value) for value in maps.score_at(best).tolist()]),
    ]


def _pooled(search: Tensor, mask: Tensor, tile: int) -> _Column:
    """A search region, dark but for the cells whose tokens are pooled."""
    cells = F.interpolate(mask.float()[:, None], (tile, tile)).to(search.device)
    region = crop(search, _whole(search), tile)
    return _Column("pooled", _as_bytes(region * (0.3 + 0.7 * cells)))


def _distinct(templates: list[Tensor]) -> list[Tensor]:
    """Every different template `[N, C, P, P]` of some calls' `[N, T, C, P, P]`, in order."""
    kept: list[Tensor] = []
    for each in (template for call in templates for template in call.unbind(1)):
        if not any(torch.equal(each, other) for other in kept):
            kept.append(each)
    return kept


def _whole(pictures: Tensor) -> Tensor:
    return torch.tensor([0.0, 0.0, pictures.shape[-1], pictures.shape[-2]], device=pictures.device).expand(
        len(pictures), 4
    )


def _pictures(pictures: Tensor, tile: int) -> NDArray[np.uint8]:
    return _as_bytes(crop(pictures, _whole(pictures), tile))


def _as_bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """`[N, 3, P, P]` in 0..255 as `[N, P, P, 3]`."""
    return pictures.clamp(0, 255).round().permute(0, 2, 3, 1).to("cpu", torch.uint8).contiguous().numpy()


def _draw(pictures: NDArray[np.uint8], boxes: Tensor, colour: tuple[int, int, int]) -> None:
    """Outline a box, xywh normalised to the picture, in each; one with NaN is left out."""
    height, width = pictures.shape[1:3]
    for picture, box in zip(pictures, xywh_to_xyxy(boxes.float()).cpu().numpy(), strict=True):
        if np.isfinite(box).all():
            left, right = np.clip((box[[0, 2]] * width).round(), 0, width - 1).astype(int)
            top, bottom = np.clip((box[[1, 3]] * height).round(), 0, height - 1).astype(int)
            picture[[top, bottom], left : right + 1] = colour
            picture[top : bottom + 1, [left, right]] = colour


def _words(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else ""
