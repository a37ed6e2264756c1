"""Small groups of clips in which a bright textured square moves over noise; its true boxes are known."""

import torch

from sstrack.objectives.base import ClipBatch


def squares(b: int = 4, later: int = 2, labelled: bool = False, seed: int = 7) -> ClipBatch:
    """`b` clips of `1 + later` frames of 100x80 pixels; the seed is the true box; so are labels, if asked for."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 90, (b, 1 + later, 3, 80, 100), generator=generator, dtype=torch.uint8)
    texture = torch.randint(120, 255, (b, 3, 20, 24), generator=generator, dtype=torch.uint8)
    boxes = torch.tensor([20.0, 10.0, 24.0, 20.0]).repeat(b, 1 + later, 1)
    for t in range(1 + later):
        x, y = 20 + 10 * t, 10 + 8 * t
        frames[:, t, :, y : y + 20, x : x + 24] = texture
        boxes[:, t, :2] = torch.tensor([x, y])
    seeds = boxes[:, 0].clone()
    if not labelled:
        boxes[:] = float("nan")
    return ClipBatch(frames, torch.tensor([[100.0, 80.0]]).repeat(b, 1), seeds, tuple(map(str, range(b))), boxes)
