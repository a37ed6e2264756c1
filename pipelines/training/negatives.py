"""Negatives from all groups of the global batch, whatever rank holds them, for objectives that can use them.

The features of every group's targets are computed first, without gradient, and summed into one table that all ranks
share; then each group is trained against the other groups' rows. So the loss is that of one process, however many ranks
there are, at the cost of a further pass.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from sstrack.objectives.base import ClipBatch
from sstrack.objectives.step import TrainStep


def other_groups_features(
    train_step: TrainStep,
    batches: dict[int, ClipBatch],
    generators: dict[int, torch.Generator],
    progress: float,
    groups: int,
    world: int,
) -> dict[int, Tensor]:
    """For each of this rank's groups the features `[M, C]` of the targets of all other groups.

    Args:
        train_step: the step itself, not what DDP wraps around it: ranks may hold different numbers of groups.
        batches: this rank's groups by number.
        generators: one for each of them, of the seed with which the group will be trained.
        groups: number of groups in the global batch, at least one for each of `world` ranks.
    """
    own = {group: train_step.features(batch, generators[group], progress).float() for group, batch in batches.items()}
    first = next(iter(own.values()))
    table = torch.zeros(groups, *first.shape, device=first.device)
    for group, features in own.items():
        table[group] = features
    if world > 1:
        dist.all_reduce(table)
    return {group: torch.cat((table[:group], table[group + 1 :])).flatten(0, 1) for group in own}
