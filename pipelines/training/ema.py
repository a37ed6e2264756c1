"""An exponential moving average (EMA) of a network's weights, which often tracks better than the last step's."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """The average's tensors by the network's own names; sharded where the network is."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        """`decay`: share of the average that a step keeps, 0..1."""
        self.decay = decay
        self.tensors: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Take in the network after `step` steps.

        Early on the decay is (1 + step) / (10 + step), as TensorFlow's average does it: the first weights are forgotten
        as fast as there are better ones.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in net.state_dict().items():
            mean = self.tensors[name]
            if mean.is_floating_point():
                mean.lerp_(tensor, 1 - decay)
            else:
                mean.copy_(tensor)

    @contextmanager
    def in_place_of(self, net: nn.Module) -> Iterator[None]:
        """Let the network hold the average while the block runs."""
        own = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
        _copy(self.tensors, net)
        try:
            yield
        finally:
            _copy(own, net)


@torch.no_grad()
def _copy(tensors: dict[str, Tensor], net: nn.Module) -> None:
    for name, tensor in net.state_dict().items():
        tensor.copy_(tensors[name])
