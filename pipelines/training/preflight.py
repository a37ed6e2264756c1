"""What can be known to go wrong before a training starts: said in one sentence each, before anything does."""

import os
import shutil
from pathlib import Path

import psutil
import torch

from pipelines import storage
from pipelines.dataset.samples import require_groups, require_labels
from pipelines.errors import SSTrackError, UsageError
from pipelines.training.options import ends
from pipelines.training.spec import TrainingSpec
from pipelines.training.watch import plan_watch
from sstrack.configs.recipe import Recipe

_GIB = 2**30
_SPARE = 0.9
"""Share of a device's memory that a training may be estimated to fill."""


def require_workable(spec: TrainingSpec) -> None:
    """Raise UsageError or SSTrackError for a training that its workers, data, disk or folder cannot do."""
    plan_watch(spec.recipe.optim.steps, spec.options.view_every, spec.options.profile)
    require_workers(spec)
    require_data(spec)
    require_disk(spec)


def require_workers(spec: TrainingSpec) -> None:
    """As many groups as workers, each of them the same number where parameters are sharded."""
    groups, (_, most) = spec.recipe.data.groups, ends(spec.workers)
    if most > groups:
        raise UsageError(
            f"{most} workers for {groups} groups: each worker needs a group of its own, so use at most "
            f"--workers {groups}, or --set data.groups={most}"
        )
    if spec.options.parallel == "fsdp":
        least = max(ends(spec.workers)[0], 1)
        uneven = [count for count in range(least, most + 1) if groups % count]
        if uneven:
            raise UsageError(
                f"{groups} groups do not spread evenly over {uneven[0]} workers, which sharded training (fsdp) needs; "
                f"use a number of workers that divides {groups}, or --parallel ddp"
            )


def require_data(spec: TrainingSpec) -> None:
    """Clips enough for a global batch, for validation, and labels where the objective learns from nothing else."""
    recipe = spec.recipe
    data, objective = recipe.data, recipe.objective
    if len(spec.datasets) == 1:
        only = spec.datasets[0]
        require_groups(only.uri, only.manifest, data.group_size, data.groups, only.held_out)
    if objective.name == "supervised" and objective.unlabelled == "skip":
        for each in spec.datasets:
            require_labels(each.uri, each.manifest)


def require_disk(spec: TrainingSpec) -> None:
    """Room for the checkpoints that are kept, one that is being written, and two packages."""
    if not storage.is_local(spec.folder):
        return
    folder = storage.local_path(spec.folder)
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise SSTrackError(f"{folder} cannot be written to; give another folder for runs with --out")
    weights = 4 * parameters(spec.recipe)
    each = weights * (4 if spec.recipe.optim.ema_decay > 0 else 3)
    wanted = each * (spec.options.keep + 2) + 2 * weights
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise SSTrackError(
            f"no space left to write the checkpoints of {spec.run_key}: {spec.options.keep + 2} of "
            f"{each / _GIB:.2f} GiB and two packages need {wanted / _GIB:.1f} GiB, and {folder} has "
            f"{free / _GIB:.1f}; free some, or use another folder"
        )


def require_memory(recipe: Recipe, device: torch.device, world_here: int) -> None:
    """Raise SSTrackError where `world_here` ranks would by estimate not fit into this machine's, or this device's,
    memory. Called by a rank, which knows its device."""
    wanted = memory_bytes(recipe)
    if device.type == "cuda":
        there, what = torch.cuda.mem_get_info(device)[1], f"{torch.cuda.get_device_name(device)} has"
    else:
        wanted *= world_here
        there, what = memory_of_machine(), f"this machine has for {world_here} worker(s)"
    if wanted > _SPARE * there:
        raise SSTrackError(
            f"a group of {recipe.data.group_size} samples of {recipe.name} takes about {wanted / _GIB:.1f} GiB with "
            f"its network, and {what} {there / _GIB:.1f}; use smaller groups and more of them, --set data.group_size="
            f"{max(2, recipe.data.group_size // 2)} --set data.groups={recipe.data.groups * 2} (negatives come from "
            "within a group)"
        )


def memory_of_machine() -> int:
    """Bytes that processes here may use: the container's limit where there is one."""
    limits = [psutil.virtual_memory().total]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(name)
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def parameters(recipe: Recipe) -> int:
    """Parameters of the network, nearly: blocks of 12 width² each, embeddings, head."""
    net = recipe.net
    blocks = net.depth * 12 * net.width**2
    tokens = (net.search_size // net.patch) ** 2 + (net.template_size // net.patch) ** 2
    embedding = 3 * net.patch**2 * net.width + tokens * net.width
    head = 3 * 9 * (net.width * net.head_width + net.head_width**2)
    return blocks + embedding + head


def memory_bytes(recipe: Recipe) -> int:
    """Bytes of a rank in a training step, by estimate: weights, gradients, optimiser and average; the frames of a group
    and of the two that are read ahead; and what the backward pass keeps of each block (56 to 73 bytes per token and
    channel were measured, float32 and bf16 alike, as attention is fused and norms stay in float32)."""
    net, data = recipe.net, recipe.data
    copies = 4 + (1 if recipe.optim.ema_decay > 0 else 0)
    tokens = (net.search_size // net.patch) ** 2 + (net.template_size // net.patch) ** 2 * data.n_search
    activations = 80 * net.depth * tokens * net.width * data.group_size * recipe.objective.views
    width, height = (data.canvas_width or 854), (data.canvas_height or 480)
    frames = 3 * data.group_size * (1 + data.n_search) * width * height * 3
    return 4 * copies * parameters(recipe) + activations + frames
