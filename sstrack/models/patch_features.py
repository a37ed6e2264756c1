"""What a network's backbone says of each patch of whole frames, without a template: features to group patches by."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sstrack.models.tracker_net import TrackerNet


@torch.inference_mode()
def patch_features(net: TrackerNet, frames_BHWC: Tensor, long_side: int) -> Tensor:
    """Features `[B, h, w, C]` float32 of unit length, of patches in reading order.

    Args:
        net: in evaluation mode; its backbone sees the frames as search regions of another shape.
        frames_BHWC: `[B, H, W, 3]` uint8 RGB, all of one size.
        long_side: patches along the longer side; frames are scaled to whole patches, with their shape about kept.
    """
    backbone, patch = net.backbone, net.config.patch
    height, width = frames_BHWC.shape[1:3]
    scale = long_side / max(height, width)
    h, w = max(2, round(height * scale)), max(2, round(width * scale))
    frames = frames_BHWC.permute(0, 3, 1, 2).float()
    frames = F.interpolate(frames, (h * patch, w * patch), mode="bilinear", antialias=True, align_corners=False)
    table = backbone.search_position.reshape(1, backbone.grid, backbone.grid, -1).permute(0, 3, 1, 2)
    table = F.interpolate(table, (h, w), mode="bicubic", antialias=True, align_corners=False)
    # Both sides are whole patches; the embedding itself takes pictures of any shape.
    tokens = backbone.patch_embed.proj((frames / 255 - net.mean) / net.std).flatten(2).transpose(1, 2)
    tokens = tokens + table.flatten(2).transpose(1, 2) + backbone.search_identity
    query = (backbone.query + backbone.query_position).expand(len(tokens), -1, -1)
    tokens = torch.cat((query, tokens), dim=1)
    for block in backbone.blocks:
        tokens = block(tokens)
    return F.normalize(backbone.norm(tokens)[:, 1:], dim=-1).unflatten(1, (h, w)).float()
