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
from pipelines.training.optimizer import build_optimizer, set_learning_rate
from pipelines.training.ranks import arithmetic, in_step, mean_over_ranks, merge_running_statistics
from sstrack.models.tracker_net import TrackerNet
from sstrack.models.weights import WeightsReport, load_initial_weights
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.registry import build_objective
from sstrack.objectives.step import TrainStep, compile_network
from sstrack.objectives.template_use import TemplateProbe, render_probe, template_use
from sstrack.recipes import Recipe, config_digest

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
    """The network before its first step: initial weights where the recipe names some, the rest from its seed.

    Raises SSTrackError if the initial weights cannot be had or are of another network.
    """
    return initial_net(recipe)[0]


def initial_net(recipe: Recipe) -> tuple[TrackerNet, WeightsReport | None]:
    """`build_net`, and what became of the initial weights, None where the recipe names none."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = TrackerNet(recipe.net)
    if not recipe.net.weights:
        return net, None
    try:
        return net, load_initial_weights(net, recipe.net.weights, recipe.net.weights_sha256)
    except ValueError as error:
        raise SSTrackError(str(error)) from error


def train_rank(job: TrainJob, rank: int, world: int, device: torch.device, report: Report) -> TrackerNet:
    """Train to the recipe's last step, from the newest checkpoint on if there is one. Returns the trained network.

    Raises SSTrackError if more steps than allowed were not finite, or if the checkpoint is another run's.
    """
    with arithmetic(job.recipe.optim.deterministic):
        return _train_rank(job, rank, world, device, report)


def _train_rank(job: TrainJob, rank: int, world: int, device: torch.device, report: Report) -> TrackerNet:
    recipe, optim = job.recipe, job.recipe.optim
    folder = Path(job.folder)
    net = build_net(recipe).to(device)
    optimizer = build_optimizer(net, optim)
    start, skipped = load_newest(folder / "checkpoints", net, optimizer, job.identity)
    if rank == 0:
        trim_metrics(folder, start)
        log.info("training %s from step %d to %d in %d process(es)", recipe.name, start, optim.steps, world)
    if optim.compile:
        compile_network(net)
    train_step = TrainStep(net, build_objective(recipe.net, recipe.objective), optim.precision)
    model = in_step(train_step, device) if world > 1 else train_step
    loader = ClipLoader(job.dataset, job.manifest, recipe.data, recipe.seed)
    mine = list(range(rank, recipe.data.groups, world))
    batches = loader.groups([(step, group) for step in range(start, optim.steps) for group in mine])
    probe: TemplateProbe | None = None
    if rank == 0 and recipe.objective.template_use_every > 0:
        probe = render_probe(loader.group(0, 0), recipe.net, recipe.seed).to(device)
    seen: dict[str, list[Tensor]] = {}
    clock = time.perf_counter()
    net.train()
    for step in range(start, optim.steps):
        rate = set_learning_rate(optimizer, step, optim)
        optimizer.zero_grad(set_to_none=True)
        progress = step / optim.steps
        held: dict[int, ClipBatch] = {}
        negatives: dict[int, Tensor] = {}
        if recipe.objective.negatives == "all_groups":
            held = {group: next(batches).to(device) for group in mine}
            drawn = {group: _generator(recipe.seed, step, group, device) for group in mine}
            negatives = other_groups_features(train_step, held, drawn, progress, recipe.data.groups, world)
        for position, group in enumerate(mine):
            if isinstance(model, DistributedDataParallel):
                model.require_backward_grad_sync = position == len(mine) - 1
            batch = held.pop(group) if held else next(batches).to(device)
            generator = _generator(recipe.seed, step, group, device)
            loss, metrics = model(batch, generator, progress, negatives.get(group))
            (loss * (world / recipe.data.groups)).backward()
            for name, value in metrics.items():
                seen.setdefault(name, []).append(value.detach())
        norm = nn.utils.clip_grad_norm_(net.parameters(), optim.clip_norm)
        # After the gradient all-reduce every rank holds the same norm, so all decide alike. It is the one number of a
        # step that the host waits for.
        if math.isfinite(float(norm)):
            optimizer.step()
        else:
            skipped += 1
            log.warning("step %d skipped: its gradient is not finite (%d so far)", step, skipped)
            if skipped > optim.max_skipped:
                raise SSTrackError(
                    f"{skipped} steps had no finite gradient, more than optim.max_skipped={optim.max_skipped}; "
                    f"lower optim.lr ({optim.lr}) and start a new run"
                )
        done = step + 1
        if probe is not None and (done % recipe.objective.template_use_every == 0 or done == optim.steps):
            net.eval()
            for name, value in template_use(net, probe).items():
                seen.setdefault(name, []).append(value)
            net.train()
        if done % METRICS_EVERY == 0 or done == optim.steps:
            row = mean_over_ranks(seen, world, device)
            seconds = time.perf_counter() - clock
            row["samples_per_s"] = (done - max(start, done - METRICS_EVERY)) * _samples(recipe) / max(seconds, 1e-9)
            row["lr"] = rate
            row["skipped"] = float(skipped)
            seen, clock = {}, time.perf_counter()
            if rank == 0:
                add_metrics(folder, done, row)
            report(done, row)
        if done % recipe.checkpoint_every == 0 or done == optim.steps:
            merge_running_statistics(net, len(mine) / recipe.data.groups, world)
            if rank == 0:
                save_checkpoint(folder / "checkpoints", done, net, optimizer, job.identity, skipped)
    if world > 1:
        dist.barrier()
    return net


def _samples(recipe: Recipe) -> int:
    return recipe.data.groups * recipe.data.group_size


def _generator(seed: int, step: int, group: int, device: torch.device) -> torch.Generator:
    """The draws of one group of one step."""
    low, high, *_ = seed_words("objective", seed, step, group)
    return torch.Generator(device).manual_seed((high << 31) ^ low)
