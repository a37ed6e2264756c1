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
from sstrack.objectives.decoupled import decoupled
from sstrack.objectives.losses import localise
from sstrack.recipes import recipe
from tests.moving_squares import squares

FOLDER = Path(__file__).parent / "unit/sstrack/objectives/golden"
STEPS = 3
"""From the fourth on a rounding, in which processors differ, moves a cell that the decoupled objective takes its box
from, and with it the loss by up to two hundredths."""

Loss = Callable[[TrackerNet, int], Tensor]


def network_loss(net: TrackerNet, step: int) -> Tensor:
    """Localisation in the next frame from the first frame's template, the query carried over two frames: no random
    draws, so that only the network, the crops and the localisation loss matter."""
    batch, config = squares(4, labelled=True, seed=step), recipe("tiny_cpu")
    template = crop(batch.frames[:, 0].float(), square_region(batch.seeds, 2.0), config.net.template_size)[:, None]
    query, loss = None, torch.zeros(())
    for t in (1, 2):
        truth = batch.boxes[:, t]
        region = square_region(truth + torch.tensor([5.0, -6.0, 0.0, 0.0]), 4.0)
        output = net(template, crop(batch.frames[:, t].float(), region, config.net.search_size), query)
        query = output.query
        loss = loss + localise(output.maps, to_region(truth, region), config.objective).total(
            config.objective, torch.ones(4)
        )
    return loss


def decoupled_loss(net: TrackerNet, step: int) -> Tensor:
    """The whole decoupled objective, half-way through its curriculum."""
    config = recipe("tiny_cpu")
    generator = torch.Generator().manual_seed(step)
    return decoupled(config.net, config.objective)(net, squares(4, seed=step), generator, 0.75)[0]


CURVES: dict[str, Loss] = {"network": network_loss, "decoupled": decoupled_loss}


def curve(loss_of: Loss) -> list[float]:
    """Losses of the first `STEPS` steps from the recipe's own start, by plain gradient descent: AdamW's first steps go
    by the gradients' signs, which a rounding turns."""
    torch.manual_seed(1)
    net = TrackerNet(recipe("tiny_cpu").net).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    losses: list[float] = []
    for step in range(STEPS):
        loss = loss_of(net, step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def main() -> None:
    for name, loss_of in CURVES.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(curve(loss_of)) + "\n")


if __name__ == "__main__":
    main()
