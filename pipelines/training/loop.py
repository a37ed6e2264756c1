"""The training loop. It runs the same with or without Ray: in one process, or as one rank of a process group.

The global batch is a fixed list of groups; rank r takes groups r, r + world, … and weighs them so that the averaged
gradient is the mean over all groups, whatever the world size.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.order import seed_words
from pipelines.errors import SSTrackError
from pipelines.training.checkpoint import RunIdentity, load_newest, save_checkpoint
from pipelines.training.metrics import add_metrics, trim_metrics
from pipelines.training.negatives import other_groups_features
from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.base import ClipBatch, WideObjective
from sstrack.objectives.registry import build_objective
from sstrack.objectives.template_use import TemplateProbe, render_probe, template_use
from sstrack.recipes import OptimConfig, Recipe, config_digest

log = logging.getLogger(__name__)

METRICS_EVERY = 10
"""Steps whose metrics are averaged into one row of `metrics.jsonl`."""


@dataclass(frozen=True)
class TrainJob:
    """All that a rank needs to know."""

    dataset: str
    manifest: str
    recipe: Recipe
    folder: str
    """The run's folder: `metrics.jsonl` and `checkpoints/`. Seen by all ranks."""
    run_key: str

    @property
    def identity(self) -> RunIdentity:
        return RunIdentity(config_digest(self.recipe), self.manifest)


Report = Callable[[int, dict[str, float]], None]
"""Called by every rank at the same steps: steps done, and metrics averaged over ranks."""


def build_net(recipe: Recipe) -> TrackerNet:
    """The network before its first step; the recipe's seed decides its weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return TrackerNet(recipe.net)


def train_rank(job: TrainJob, rank: int, world: int, device: torch.device, report: Report) -> TrackerNet:
    """Train to the recipe's last step, from the newest checkpoint on if there is one. Returns the trained network.

    Raises SSTrackError if more steps than allowed were not finite, or if the checkpoint is another run's.
    """
    recipe = job.recipe
    folder = Path(job.folder)
    net = build_net(recipe).to(device)
    optimizer = torch.optim.AdamW(_parameter_groups(net, recipe.optim), lr=recipe.optim.lr, betas=(0.9, 0.95))
    start, skipped = load_newest(folder / "checkpoints", net, optimizer, job.identity)
    if rank == 0:
        trim_metrics(folder, start)
        log.info("training %s from step %d to %d in %d process(es)", recipe.name, start, recipe.optim.steps, world)
    model = DistributedDataParallel(net, device_ids=[device] if device.type == "cuda" else None) if world > 1 else net
    objective = build_objective(recipe.net, recipe.objective)
    loader = ClipLoader(job.dataset, job.manifest, recipe.data, recipe.seed)
    mine = list(range(rank, recipe.data.groups, world))
    batches = loader.groups([(step, group) for step in range(start, recipe.optim.steps) for group in mine])
    probe: TemplateProbe | None = None
    if rank == 0 and recipe.objective.template_use_every > 0:
        probe = render_probe(loader.group(0, 0), recipe.net, recipe.seed).to(device)
    sums: dict[str, list[float]] = {}
    clock = time.perf_counter()
    net.train()
    for step in range(start, recipe.optim.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, recipe.optim)
        optimizer.zero_grad(set_to_none=True)
        progress = step / recipe.optim.steps
        held: dict[int, ClipBatch] = {}
        negatives: dict[int, Tensor] = {}
        if recipe.objective.negatives == "all_groups":
            assert isinstance(objective, WideObjective)
            held = {group: next(batches).to(device) for group in mine}
            drawn = {group: _generator(recipe.seed, step, group, device) for group in mine}
            negatives = other_groups_features(objective, net, held, drawn, progress, recipe.data.groups, world)
        for position, group in enumerate(mine):
            if isinstance(model, DistributedDataParallel):
                model.require_backward_grad_sync = position == len(mine) - 1
            batch = held.pop(group) if held else next(batches).to(device)
            more = {"negatives": negatives[group]} if negatives else {}
            generator = _generator(recipe.seed, step, group, device)
            loss, metrics = objective(model, batch, generator, progress, **more)
            (loss * (world / recipe.data.groups)).backward()
            for name, value in metrics.items():
                # NaN says that this group could not measure it; a loss that is none has to be seen.
                if name == "loss" or not math.isnan(value):
                    sums.setdefault(name, []).append(float(value))
        norm = nn.utils.clip_grad_norm_(net.parameters(), recipe.optim.clip_norm)
        # After the gradient all-reduce every rank holds the same norm, so all decide alike.
        if math.isfinite(float(norm)):
            optimizer.step()
        else:
            skipped += 1
            log.warning("step %d skipped: its gradient is not finite (%d so far)", step, skipped)
            if skipped > recipe.optim.max_skipped:
                raise SSTrackError(
                    f"{skipped} steps had no finite gradient, more than optim.max_skipped={recipe.optim.max_skipped}; "
                    f"lower optim.lr ({recipe.optim.lr}) and start a new run"
                )
        done = step + 1
        if probe is not None and (done % recipe.objective.template_use_every == 0 or done == recipe.optim.steps):
            net.eval()
            for name, value in template_use(net, probe).items():
                sums.setdefault(name, []).append(float(value))
            net.train()
        if done % METRICS_EVERY == 0 or done == recipe.optim.steps:
            row = _mean_over_ranks(sums, world, device)
            seconds = time.perf_counter() - clock
            row["samples_per_s"] = (done - max(start, done - METRICS_EVERY)) * _samples(recipe) / max(seconds, 1e-9)
            row["lr"] = learning_rate(step, recipe.optim)
            row["skipped"] = float(skipped)
            sums, clock = {}, time.perf_counter()
            if rank == 0:
                add_metrics(folder, done, row)
            report(done, row)
        if rank == 0 and (done % recipe.checkpoint_every == 0 or done == recipe.optim.steps):
            save_checkpoint(folder / "checkpoints", done, net, optimizer, job.identity, skipped)
    if world > 1:
        dist.barrier()
    return net


def learning_rate(step: int, optim: OptimConfig) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak."""
    warm = min(1.0, (step + 1) / max(optim.warmup, 1))
    return optim.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / optim.steps)))


def _samples(recipe: Recipe) -> int:
    return recipe.data.groups * recipe.data.group_size


def _parameter_groups(net: nn.Module, optim: OptimConfig) -> list[dict]:
    """Weight decay for matrices and kernels only; vectors and tables are free of it."""
    decayed = [p for name, p in net.named_parameters() if p.ndim > 1 and "position" not in name and "query" not in name]
    chosen = {id(p) for p in decayed}
    free = [p for p in net.parameters() if id(p) not in chosen]
    return [{"params": decayed, "weight_decay": optim.weight_decay}, {"params": free, "weight_decay": 0.0}]


def _generator(seed: int, step: int, group: int, device: torch.device) -> torch.Generator:
    """The draws of one group of one step."""
    low, high, *_ = seed_words("objective", seed, step, group)
    return torch.Generator(device).manual_seed((high << 31) ^ low)


def _mean_over_ranks(sums: dict[str, list[float]], world: int, device: torch.device) -> dict[str, float]:
    """Mean of each metric over the groups of all ranks, NaN-free: a metric that no group had is left out.

    All ranks know the same names, as every group of an objective may report any of them.
    """
    names = sorted(sums)
    if world > 1:
        gathered: list[list[str] | None] = [None] * world
        dist.all_gather_object(gathered, names)
        names = sorted({name for part in gathered for name in part or []})
    totals: Tensor = torch.tensor(
        [[sum(sums.get(name, [])), float(len(sums.get(name, [])))] for name in names],
        dtype=torch.float64,
        device=device,
    )
    if world > 1:
        dist.all_reduce(totals)
    return {name: float(total / max(count, 1.0)) for name, (total, count) in zip(names, totals.tolist(), strict=True)}
