"""Loss curves of short trainings of `tiny_cpu` under a fixed seed, kept so that a refactor must repeat them.

python -m tests.golden_curves        writes them anew, after a change that is meant to change the training
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from sstrack.crops import crop, square_region, to_region
from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.decoupled import decoupled
from sstrack.objectives.losses import localise
from sstrack.recipes import recipe

FOLDER = Path(__file__).parent / "unit/sstrack/golden"
STEPS = 8

Loss = Callable[[TrackerNet, int], Tensor]


def moving_squares(step: int) -> ClipBatch:
    """Eight clips of three frames: a textured square moves over noise; the seed is its true box."""
    generator = torch.Generator().manual_seed(100 + step)
    frames = torch.randint(0, 90, (8, 3, 3, 80, 100), generator=generator, dtype=torch.uint8)
    texture = torch.randint(120, 255, (8, 3, 20, 24), generator=generator, dtype=torch.uint8)
    for t in range(3):
        frames[:, t, :, 10 + 8 * t : 30 + 8 * t, 20 + 10 * t : 44 + 10 * t] = texture
    seeds = torch.tensor([[20.0, 10.0, 24.0, 20.0]]).repeat(8, 1)
    return ClipBatch(frames, torch.tensor([[100.0, 80.0]]).repeat(8, 1), seeds, tuple(f"clip{i}" for i in range(8)))


def network_loss(net: TrackerNet, step: int) -> Tensor:
    """Localisation in the next frame from the first frame's template, the query carried over two frames: no random
    draws, so that only the network, the crops and the localisation loss matter."""
    batch, config = moving_squares(step), recipe("tiny_cpu")
    template = crop(batch.frames[:, 0].float(), square_region(batch.seeds, 2.0), config.net.template_size)[:, None]
    query, loss = None, torch.zeros(())
    for t in (1, 2):
        truth = batch.seeds + torch.tensor([10.0 * t, 8.0 * t, 0.0, 0.0])
        region = square_region(truth + torch.tensor([5.0, -6.0, 0.0, 0.0]), 4.0)
        output = net(template, crop(batch.frames[:, t].float(), region, config.net.search_size), query)
        query = output.query
        loss = loss + localise(output.maps, to_region(truth, region), config.objective).weighted(config.objective)
    return loss


def decoupled_loss(net: TrackerNet, step: int) -> Tensor:
    """The whole decoupled objective, half-way through its curriculum."""
    config = recipe("tiny_cpu")
    generator = torch.Generator().manual_seed(step)
    return decoupled(config.net, config.objective)(net, moving_squares(step), generator, 0.75)[0]


CURVES: dict[str, Loss] = {"network": network_loss, "decoupled": decoupled_loss}


def curve(loss_of: Loss) -> list[float]:
    """Losses of the first `STEPS` steps of AdamW from the recipe's own start."""
    torch.manual_seed(1)
    net = TrackerNet(recipe("tiny_cpu").net).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    losses: list[float] = []
    for step in range(STEPS):
        loss = loss_of(net, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def main() -> None:
    for name, loss_of in CURVES.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(curve(loss_of)) + "\n")


if __name__ == "__main__":
    main()
