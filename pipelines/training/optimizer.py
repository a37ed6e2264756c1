"""AdamW over a tracker's parameters, and its learning rate."""

import math
import re

import torch
from torch import nn

from sstrack.configs.optim import OptimConfig
from sstrack.models.tracker_net import TrackerNet


def build_optimizer(net: TrackerNet, optim: OptimConfig, batch: int) -> torch.optim.AdamW:
    """AdamW with the backbone at its own rate and weight decay for matrices and kernels only.

    Vectors, position tables and the query are free of decay (published: decay on all, a thousandth of ours). `batch`:
    samples of the global batch, for the learning rate where it is scaled by them.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    scale = {"none": 1.0, "linear": batch / optim.lr_batch, "sqrt": math.sqrt(batch / optim.lr_batch)}[optim.lr_scaling]
    for name, parameter in net.named_parameters():
        rate = scale * _share(name, net.config.depth, optim)
        decays = parameter.ndim > 1 and "position" not in name and "query" not in name
        groups.setdefault((rate, optim.weight_decay if decays else 0.0), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": params, "weight_decay": decay, "rate": rate} for (rate, decay), params in groups.items()],
        lr=optim.lr,
        betas=(0.9, optim.beta2),
        fused=True,  # on a CPU too: a third of the time
    )


def _share(name: str, depth: int, optim: OptimConfig) -> float:
    """Learning rate of a parameter over the head's: the backbone's, less for each block above it (layer-wise decay as
    BEiT and timm count: embeddings 0, block i is i + 1, the final norm stands above all, and so do identity vectors,
    which are new beside pretrained weights)."""
    if not name.startswith("backbone."):
        return 1.0
    block = re.match(r"backbone\.blocks\.(\d+)\.", name)
    layer = int(block[1]) + 1 if block else depth + 1 if "norm." in name or "identity" in name else 0
    return optim.backbone_lr * optim.layer_decay ** (depth + 1 - layer)


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, optim: OptimConfig) -> float:
    """Give every parameter its rate for `step`; returns the largest, that of the head."""
    rate = learning_rate(step, optim)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate"]
    return max(group["lr"] for group in optimizer.param_groups)


def learning_rate(step: int, optim: OptimConfig) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak, or the peak and past 80 % of the steps a tenth, or the peak."""
    warm = min(1.0, (step + 1) / max(optim.warmup, 1))
    if optim.schedule == "constant":
        return optim.lr * warm
    if optim.schedule == "step":
        return optim.lr * warm * (1.0 if step < 0.8 * optim.steps else 0.1)
    return optim.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / optim.steps)))
