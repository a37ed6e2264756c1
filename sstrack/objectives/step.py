"""One group through the objective as a module that returns the loss: what DDP wraps, what a bench measures."""

from typing import Literal

import torch
from torch import Generator, Tensor, nn

from sstrack.models.tracker_net import NetOutput, TrackerNet
from sstrack.objectives.base import ClipBatch, Objective, WideObjective


class TrainStep(nn.Module):
    """A network and the objective it is trained with.

    The network's matrix products run in bf16 where asked; crops, maps and losses stay in float32. All draws of a group,
    those of the network's stochastic depth too, follow from the seed of its generator, so a group's loss does not
    depend on what ran before it, or where.
    """

    def __init__(
        self, net: TrackerNet, objective: Objective, precision: Literal["float32", "bf16"] = "float32"
    ) -> None:
        super().__init__()
        self.net = net
        self.objective = objective
        self.precision = precision

    def forward(
        self, batch: ClipBatch, generator: Generator, progress: float, negatives: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss (scalar) and metrics of one group; `negatives` `[M, C]` as in `WideObjective`. Reseeds torch's global
        generators."""
        torch.manual_seed(generator.initial_seed())
        if negatives is None:
            return self.objective(self._locate, batch, generator, progress)
        assert isinstance(self.objective, WideObjective)
        return self.objective(self._locate, batch, generator, progress, negatives=negatives)

    def features(self, batch: ClipBatch, generator: Generator, progress: float) -> Tensor:
        """`[N, C]` features of a group's targets as negatives for other groups, without gradient: those that its own
        loss compares, given a generator of the same seed."""
        assert isinstance(self.objective, WideObjective)
        torch.manual_seed(generator.initial_seed())
        return self.objective.features(self._locate, batch, generator, progress)

    def _locate(
        self, templates: Tensor, search: Tensor, query: Tensor | None = None, eliminate: float = 1.0
    ) -> NetOutput:
        with torch.autocast(templates.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.net(templates, search, query, eliminate)


def compile_network(net: TrackerNet, backend: str = "inductor") -> None:
    """Compile the network in place (`torch.compile` with one of its backends); parameters and their names stay.

    Every number of templates, with and without gradient, and every step of the elimination schedule is a shape of its
    own, so more graphs are allowed than torch's default of 8, past which it would fall back to running uncompiled.
    """
    torch._dynamo.config.recompile_limit = 64  # pyright: ignore[reportPrivateUsage]  its documented name
    net.compile(dynamic=False, backend=backend)
