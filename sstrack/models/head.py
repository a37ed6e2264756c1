"""Centre head: score, offset and size maps over the search cells, and the box at one cell.

Shapes: B batch, C channels, S cells per side.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sstrack.boxes import cxcywh_to_xywh


@dataclass(frozen=True)
class HeadMaps:
    """Raw outputs of the head."""

    score: Tensor
    """`[B, S, S]` in 0..1."""
    offset: Tensor
    """`[B, 2, S, S]` x and y of the centre inside its cell, in cells."""
    size: Tensor
    """`[B, 2, S, S]` width and height over the region's side, in 0..1."""

    def best_cell(self, window: Tensor | None = None) -> Tensor:
        """Flat index `[B]` of the highest score, after multiplication with `window` `[S, S]` if given."""
        score = self.score if window is None else self.score * window
        return score.flatten(1).argmax(1)

    def score_at(self, cell: Tensor) -> Tensor:
        """Score `[B]` at flat cells `[B]`."""
        return self.score.flatten(1).gather(1, cell[:, None])[:, 0]

    def box_at(self, cell: Tensor) -> Tensor:
        """Boxes `[B, 4]` xywh, normalised to the region, read at flat cells `[B]`."""
        side = self.score.shape[-1]
        index = cell[:, None, None].expand(-1, 2, 1)
        offset = self.offset.flatten(2).gather(2, index)[..., 0]
        size = self.size.flatten(2).gather(2, index)[..., 0]
        corner = torch.stack((cell % side, cell // side), dim=-1).to(offset.dtype)
        return cxcywh_to_xywh(torch.cat(((corner + offset) / side, size), dim=-1))


class CentreHead(nn.Module):
    """Three stacks of 3×3 convolutions over the search tokens, each halving the channels of the one before.

    Group norm stands where OSTrack has batch norm: forward (global) and backward (local) frames feed one head, so batch
    statistics would mix two distributions and tie the result to the batch. `norm="batch"` gives the published head.
    """

    def __init__(self, width: int, hidden: int, depth: int = 2, norm: Literal["group", "batch"] = "group") -> None:
        super().__init__()
        channels = [width, *(hidden >> level for level in range(depth))]
        self.score = _stack(channels, 1, norm)
        self.offset = _stack(channels, 2, norm)
        self.size = _stack(channels, 2, norm)
        last = self.score[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.constant_(last.bias, -3.0)  # most cells hold no target: start there, as focal losses do

    def forward(self, x_BCSS: Tensor) -> HeadMaps:
        """Maps in float32: in bf16 a score of 1 - 1e-4 would round to 1, and its loss to infinity."""
        score = self.score(x_BCSS)[:, 0].float().sigmoid().clamp(1e-4, 1 - 1e-4)
        size = self.size(x_BCSS).float().sigmoid().clamp(1e-4, 1 - 1e-4)
        return HeadMaps(score, self.offset(x_BCSS).float(), size)


def _stack(channels: list[int], out: int, norm: Literal["group", "batch"]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.GroupNorm(8, after) if norm == "group" else nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Conv2d(channels[-1], out, 1))
