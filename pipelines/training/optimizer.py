"""AdamW over a tracker's parameters, and its learning rate."""

import math

import torch
from torch import nn

from sstrack.recipes import OptimConfig


def build_optimizer(net: nn.Module, optim: OptimConfig) -> torch.optim.AdamW:
    """AdamW with the backbone at its own rate and weight decay for matrices and kernels only.

    Vectors, position tables and the query are free of decay (published: decay on all, a thousandth of ours).
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        rate = optim.backbone_lr if name.startswith("backbone.") else 1.0
        decays = parameter.ndim > 1 and "position" not in name and "query" not in name
        groups.setdefault((rate, optim.weight_decay if decays else 0.0), []).append(parameter)
    on_gpu = next(net.parameters()).device.type == "cuda"
    return torch.optim.AdamW(
        [{"params": params, "weight_decay": decay, "rate": rate} for (rate, decay), params in groups.items()],
        lr=optim.lr,
        betas=(0.9, optim.beta2),
        fused=on_gpu,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, optim: OptimConfig) -> float:
    """Give every parameter its rate for `step`; returns that of the head."""
    rate = learning_rate(step, optim)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate"]
    return rate


def learning_rate(step: int, optim: OptimConfig) -> float:
    """Linear warm-up; then a cosine to 1 % of the peak, or the peak and, past 80 % of the steps, a tenth of it."""
    warm = min(1.0, (step + 1) / max(optim.warmup, 1))
    if optim.schedule == "step":
        return optim.lr * warm * (1.0 if step < 0.8 * optim.steps else 0.1)
    return optim.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / optim.steps)))
