"""A training's tensors under plain names, whole and on the CPU, however they are spread over ranks and devices."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from pipelines.training.ema import Ema

Tensors = dict[str, dict[str, Tensor]]
"""`net`, `optimizer` and, where it is kept, `ema`: tensors by name."""

_ADAMW = ("step", "exp_avg", "exp_avg_sq")


def snapshot(net: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema | None) -> Tensors:
    """Copies that the next step does not change. Every rank calls it: sharded tensors are put together by all."""
    found = {"net": _copies(net.state_dict()), "optimizer": _copies(_moments(net, optimizer))}
    if ema is not None:
        found["ema"] = _copies(ema.tensors)
    return found


def restore(tensors: Tensors, net: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema | None) -> None:
    """Put a snapshot back. Raises KeyError or RuntimeError where it is of another network or optimiser."""
    load_whole(net, tensors["net"])
    moments = tensors["optimizer"]
    for name, parameter in net.named_parameters():
        state = {kind: moments[f"{kind}.{name}"] for kind in _ADAMW if f"{kind}.{name}" in moments}
        if state:
            optimizer.state[parameter] = {kind: _spread_like(parameter, value) for kind, value in state.items()}
    if ema is not None:
        ema.tensors = {name: _spread_like(like, tensors["ema"][name]) for name, like in ema.tensors.items()}


@torch.no_grad()
def load_whole(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Fill a network, sharded or not, from whole tensors by name."""
    there = net.state_dict()
    if there.keys() != tensors.keys():
        raise KeyError(f"tensors {sorted(there.keys() ^ tensors.keys())[:5]} are on one side only")
    for name, tensor in there.items():
        tensor.copy_(_spread_like(tensor, tensors[name]))


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor put together, by all ranks; any other as it is."""
    return cast(Tensor, tensor.full_tensor()) if isinstance(tensor, DTensor) else tensor


def _spread_like(like: Tensor, tensor: Tensor) -> Tensor:
    if isinstance(like, DTensor) and tensor.dim() == like.dim():
        return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)
    return tensor.to(like.device)


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: whole(tensor.detach()).to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _moments(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's state by parameter name."""
    return {
        f"{kind}.{name}": value
        for name, parameter in net.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }
