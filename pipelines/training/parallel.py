"""Ways to spread a training over ranks: whole copies of the network, or its parameters in shards."""

from typing import cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.step import TrainStep


def shard(net: TrackerNet, device: torch.device) -> None:
    """Spread parameters over all ranks in place (FSDP2), each block by itself, so that one at a time is whole.

    Blocks that eliminate candidates are not called as modules, which is when a block's shards are put together: those
    belong to the rest of the network.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    called_in_parts = net.backbone.eliminate_at if net.config.keep_ratio < 1 else ()
    for position, block in enumerate(net.backbone.blocks):
        if position not in called_in_parts:
            fully_shard(cast(nn.Module, block), mesh=mesh)
    fully_shard(net, mesh=mesh)


def is_sharded(net: nn.Module) -> bool:
    return isinstance(net, FSDPModule)


def in_step(train_step: TrainStep, device: torch.device) -> nn.Module:
    """The module whose gradients are averaged over ranks. Every parameter takes part in every loss, and no buffer is
    copied about: running statistics belong to a rank's groups until they are merged."""
    if is_sharded(train_step.net):
        return train_step  # its blocks do it themselves
    return DistributedDataParallel(
        train_step,
        device_ids=[device] if device.type == "cuda" else None,
        broadcast_buffers=False,
        find_unused_parameters=False,
        gradient_as_bucket_view=True,
    )


def sync_gradients(model: nn.Module, wanted: bool) -> None:
    """Whether the next backward pass averages gradients over ranks: only that of a step's last group has to."""
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = wanted
    elif isinstance(model, TrainStep) and isinstance(model.net, FSDPModule):
        model.net.set_requires_gradient_sync(wanted)
