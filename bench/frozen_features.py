"""A tracker that learns nothing: the target's patch features of a frozen ViT, looked for in each frame's region.

The yardstick for every training that starts from the same ViT. The box keeps its first size.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bench.real_sequences import RealSequence
from sstrack.crops import crop, square_region
from sstrack.models.tracker_net import TrackerNet


@torch.inference_mode()
def track_frozen(net: TrackerNet, sequence: RealSequence) -> NDArray[np.float64]:
    """Boxes `[T, 4]`: the cell whose token is most like the mean token of the first frame's target, Hann-weighted."""
    cells, factor = net.cells, net.config.search_factor
    window = torch.from_numpy(np.outer(*[np.hanning(cells + 2)[1:-1]] * 2)).float()
    frames = sequence.frames()
    box = torch.tensor(sequence.truth[:1], dtype=torch.float32)
    first = _tokens(net, next(frames), square_region(box, factor))
    middle = slice(round(cells * 3 / 8), round(cells * 5 / 8))
    target = F.normalize(first[middle, middle].mean((0, 1)), dim=-1)
    boxes = [sequence.truth[0]]
    for frame in frames:
        region = square_region(box, factor)
        alike = (F.normalize(_tokens(net, frame, region), dim=-1) @ target).clamp(min=0) ** 4 * window
        place = int(alike.argmax())
        centre = (torch.tensor([place % cells, place // cells]) + 0.5) / cells * region[0, 2:] + region[0, :2]
        box = torch.cat((centre - box[0, 2:] / 2, box[0, 2:]))[None]
        boxes.append(box[0].double().numpy())
    return np.array(boxes)


def _tokens(net: TrackerNet, frame: NDArray[np.uint8], region: Tensor) -> Tensor:
    """`[s, s, C]` tokens of a region of a frame, seen alone."""
    backbone = net.backbone
    picture = crop(torch.from_numpy(frame).permute(2, 0, 1)[None], region, net.config.search_size)
    tokens = backbone.embed((picture / 255 - net.mean) / net.std) + backbone.search_position
    tokens = torch.cat((backbone.query[None] + backbone.query_position, tokens), dim=1)
    for block in backbone.blocks:
        tokens = block(tokens)
    return backbone.norm(tokens)[0, 1:].unflatten(0, (net.cells, net.cells))
