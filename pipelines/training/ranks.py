"""What the ranks of a training do together: statistics, metrics, and the arithmetic that all use alike."""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

log = logging.getLogger(__name__)


@torch.no_grad()
def merge_running_statistics(net: nn.Module, share: float, world: int) -> None:
    """Give all ranks the mean of their batch norms' running statistics; `share` of the groups, 0..1, is this rank's.

    They are of no use to the loss, which sees a group's own statistics, but are the network's in tracking.
    """
    if world == 1:
        return
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for statistic in (module.running_mean, module.running_var):
                assert statistic is not None
                dist.all_reduce(statistic.mul_(share))


def mean_over_ranks(seen: dict[str, list[Tensor]], world: int, device: torch.device) -> dict[str, float]:
    """Mean of each metric over the groups of all ranks that measured it.

    NaN says that a group could not measure it, but in the loss, where it has to be seen. Reads the device once.
    """
    names = sorted(seen)
    if world > 1:
        gathered: list[list[str] | None] = [None] * world
        dist.all_gather_object(gathered, names)
        names = sorted({name for part in gathered for name in part or []})
    totals = torch.zeros(len(names), 2, dtype=torch.float64, device=device)
    for row, name in zip(totals, names, strict=True):
        if values := seen.get(name):
            stacked = torch.stack([value.to(device, torch.float64) for value in values])
            counts = torch.ones_like(stacked) if name == "loss" else (~stacked.isnan()).double()
            row[0] = torch.where(counts > 0, stacked, 0).sum()
            row[1] = counts.sum()
    if world > 1:
        dist.all_reduce(totals)
    means = {
        name: total / count if count else math.nan for name, (total, count) in zip(names, totals.tolist(), strict=True)
    }
    return {name: mean for name, mean in means.items() if name == "loss" or not math.isnan(mean)}


def workable_precision(asked: Literal["float32", "bf16"], device: torch.device) -> Literal["float32", "bf16"]:
    """What is asked for, but float32 on a CPU that would have to emulate bf16, which takes several times as long."""
    if asked == "float32" or device.type != "cpu" or _cpu_has_bf16():
        return asked
    log.info("this processor has no bf16 arithmetic: training in float32")
    return "float32"


def _cpu_has_bf16() -> bool:
    # Torch has no public name for the question in all versions that we take.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # pyright: ignore[reportPrivateUsage]


@contextmanager
def arithmetic(deterministic: bool) -> Iterator[None]:
    """Where asked, only kernels that round alike on every run, and an error where an operation has none.

    float32 matrix products that autocast leaves alone may use TF32 on a GPU otherwise.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()
    if deterministic:
        # cuBLAS reads this when its first handle is made; without it torch refuses its matrix products.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("highest" if deterministic else "high")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        if torch.cuda.is_available():
            torch.set_float32_matmul_precision(before[1])
