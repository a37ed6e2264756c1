"""The tracking network: pictures of the target and a search region in, score map and boxes out.

Shapes: B batch, T templates, C token width, H W pixels, S cells per side.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sstrack.configs.net import NetConfig
from sstrack.models.backbone import OneStreamBackbone
from sstrack.models.head import CentreHead, HeadMaps

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class NetOutput:
    """What one search region gives."""

    maps: HeadMaps
    query: Tensor
    """`[B, C]`, to be carried to the next frame."""
    search: Tensor
    """`[B, S * S, C]` search tokens after the final norm, before reweighting."""


class TrackerNet(nn.Module):
    """Backbone, query reweighting, head. One network serves global (whole-frame) and local search regions."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = OneStreamBackbone(config)
        self.head = CentreHead(config.width, config.head_width, config.head_depth, config.head_norm)
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    @property
    def cells(self) -> int:
        """Cells per side of the score map."""
        return self.config.search_size // self.config.patch

    def forward(
        self,
        templates_BTCHW: Tensor,
        search_BCHW: Tensor,
        query_BC: Tensor | None = None,
        eliminate: float = 1.0,
    ) -> NetOutput:
        """Locate the templates' target in the search region.

        Args:
            templates_BTCHW: `[B, T, 3, template_size, template_size]` float RGB in 0..255; with `mark_target` a fourth
                channel, 0..255, see `sstrack.templates`.
            search_BCHW: `[B, 3, search_size, search_size]` float RGB in 0..255.
            query_BC: query output of the frame before; None starts a sequence.
            eliminate: how much of the candidate elimination is in force, 0..1, for a schedule: 0 keeps all search
                tokens, 1 the configured share, as in tracking. Between, the kept share goes in steps of a twentieth.
        """
        templates, search = self._normalise(templates_BTCHW[:, :, :3]), self._normalise(search_BCHW)
        marks = templates_BTCHW[:, :, 3] / 255 if self.config.mark_target else None
        keep = kept_share(self.config.keep_ratio, eliminate)
        query, tokens = self.backbone(templates, search, query_BC, keep, marks)
        # Reweighting: a search token counts by its agreement with the query. The root keeps bf16 in range; the norm
        # after the head's first convolution takes any constant factor out again.
        weight = (tokens * query[:, None]).sum(-1, keepdim=True) / query.shape[-1] ** 0.5
        b, _, c = tokens.shape
        features = (tokens * weight).transpose(1, 2).reshape(b, c, self.cells, self.cells)
        return NetOutput(self.head(features), query, tokens)

    def _normalise(self, picture: Tensor) -> Tensor:
        return (picture / 255 - self.mean) / self.std


def kept_share(keep_ratio: float, eliminate: float) -> float:
    """Share of the search tokens to keep when `eliminate` of the elimination is in force.

    In steps of a twentieth on the way, so that the schedule meets few tensor shapes: each one costs a compiled network
    a compilation and the allocator new blocks.
    """
    return keep_ratio if eliminate >= 1 else round(20 * (1 - eliminate * (1 - keep_ratio))) / 20
