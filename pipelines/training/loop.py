"""The training loop. It runs the same with or without Ray: in one process, or as one rank of a process group.

The global batch is a fixed list of groups; rank r takes groups r, r + world, … and weighs them so that the averaged
gradient is the mean over all groups, whatever the world size.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipelines import storage
from pipelines.dataset.modes import open_loader
from pipelines.dataset.order import seed_words
from pipelines.errors import SSTrackError
from pipelines.training.checkpoint import Checkpoint, Checkpoints
from pipelines.training.ema import Ema
from pipelines.training.job import TrainJob
from pipelines.training.metrics import MetricsLog
from pipelines.training.negatives import other_groups_features
from pipelines.training.optimizer import build_optimizer, set_learning_rate
from pipelines.training.parallel import in_step, shard, sync_gradients
from pipelines.training.ranks import arithmetic, mean_over_ranks, merge_running_statistics
from pipelines.training.stall import RollCall
from pipelines.training.state import load_whole, restore, snapshot, whole
from pipelines.training.validation import LOSS, Standing, Validation
from pipelines.training.watch import Watch, plan_watch
from sstrack.configs.recipe import Recipe
from sstrack.models.backbone import spell_out_attention
from sstrack.models.tracker_net import TrackerNet
from sstrack.models.weights import WeightsReport, load_initial_weights
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.registry import build_objective
from sstrack.objectives.step import TrainStep, compile_network
from sstrack.objectives.template_use import TemplateProbe, real_probe, render_probe, template_use

log = logging.getLogger(__name__)

METRICS_EVERY = 10
"""Most steps whose metrics are averaged into one row of `metrics.jsonl`."""

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


def train_rank(job: TrainJob, rank: int, world: int, device: torch.device, report: Report) -> tuple[TrackerNet, int]:
    """Train to the recipe's last step, or until validation says stop, from the newest checkpoint on if there is one.

    Returns the network to be used, whole and on the CPU (the average of its weights where one is kept, that of the best
    step where validation may stop a training), and the step it is of.

    Raises SSTrackError if more steps than allowed were not finite, if the checkpoint is another run's, if checkpoints
    cannot be written, or if other ranks are lost.
    """
    roll = RollCall(rank, world, job.options.timeout_s)
    with arithmetic(job.recipe.optim.deterministic), roll.answered():
        training = _Rank(job, rank, world, device, report, roll)
        try:
            return training.run()
        finally:
            training.close()


class _Rank:
    """One rank of one training."""

    def __init__(
        self, job: TrainJob, rank: int, world: int, device: torch.device, report: Report, roll: RollCall
    ) -> None:
        self.job, self.rank, self.world, self.device = job, rank, world, device
        self.report, self.roll = report, roll
        recipe = self.recipe = job.recipe
        self.net = build_net(recipe).to(device)
        sharded = job.options.parallel == "fsdp" and world > 1
        if sharded:
            shard(self.net, device)
        self.optimizer = build_optimizer(self.net, recipe.optim, recipe.data.groups * recipe.data.group_size)
        self.ema = Ema(self.net, recipe.optim.ema_decay) if recipe.optim.ema_decay > 0 else None
        self.checkpoints = Checkpoints(storage.join(job.folder, "checkpoints"), job.identity, job.options.keep)
        self.standing = self._resume()
        self.metrics = MetricsLog(job.folder, self.standing.step) if rank == 0 else None
        self.mine = list(range(rank, recipe.data.groups, world))
        self.loader = open_loader(job.datasets, recipe.data, recipe.seed)
        self.validation = (
            Validation(job.datasets, recipe, rank, world, sharded=sharded) if recipe.validation.share > 0 else None
        )
        self.probes: list[TemplateProbe] = []
        # Sharded ranks put every layer together in step, so all of them measure it.
        if recipe.objective.template_use_every > 0 and (rank == 0 or sharded):
            first = self.loader.group(0, 0)
            made = [make(first, recipe.net, recipe.seed) for make in (render_probe, real_probe)]
            self.probes = [probe.to(device) for probe in made]
        if device.type == "cpu" and recipe.optim.precision == "bf16":
            spell_out_attention(self.net.backbone)
        if recipe.optim.compile:
            compile_network(self.net)
        self.train_step = TrainStep(self.net, build_objective(recipe.net, recipe.objective), recipe.optim.precision)
        self.model = in_step(self.train_step, device) if world > 1 else self.train_step
        self.watch: Watch | None = None
        if rank == 0 or sharded:
            plan = plan_watch(recipe.optim.steps, job.options.view_every, job.options.profile)
            self.watch = Watch(job.folder, plan, self.train_step, self.standing.step, self.probes[1:], keeps=rank == 0)
        self.batches: Iterator[ClipBatch] = iter(())
        self.seen: dict[str, list[Tensor]] = {}
        self.waited = 0.0

    def run(self) -> tuple[TrackerNet, int]:
        recipe, optim, standing = self.recipe, self.recipe.optim, self.standing
        if self.rank == 0:
            log.info(
                "training %s from step %d to %d in %d process(es)", recipe.name, standing.step, optim.steps, self.world
            )
        steps = range(standing.step, 0 if standing.stopped else optim.steps)
        self.batches = self.loader.groups([(step, group) for step in steps for group in self.mine])
        clock, began = time.perf_counter(), standing.step
        self.train_step.train()
        if self.watch is not None:
            self.watch.begin()
        for step in steps:
            rate = self._step(step)
            done = standing.step = step + 1
            last = done == optim.steps
            if self.probes and (done % recipe.objective.template_use_every == 0 or last):
                self._probe()
            looked = {}
            better = False
            if self.validation is not None and (done % recipe.validation.every == 0 or last):
                looked = self._look(self.validation)
                better = standing.looked(looked[LOSS], recipe.validation.patience)
                last = last or standing.stopped
            saves = done % recipe.checkpoint_every == 0 or last or better
            # Also where a checkpoint is, so that a run that goes on from it gives the same rows.
            if done % METRICS_EVERY == 0 or looked or saves:
                self._count_replaced()
                row = {**mean_over_ranks(self.seen, self.world, self.device), **looked}
                seconds = max(time.perf_counter() - clock, 1e-9)
                row["samples_per_s"] = (done - began) * recipe.data.groups * recipe.data.group_size / seconds
                row["data_wait"] = self.waited / seconds
                row["lr"] = rate
                row["skipped"] = float(standing.skipped)
                clock, began, self.waited, self.seen = time.perf_counter(), done, 0.0, {}
                if self.metrics is not None:
                    self.metrics.add(done, row)
                self.report(done, row)
            if saves:
                self._save()
            if last:
                break
        return self._finish()

    def close(self) -> None:
        if self.watch is not None:
            self.watch.close()
        self.checkpoints.close()
        self.loader.close()
        if self.validation is not None:
            self.validation.close()

    def _next_batch(self, step: int) -> ClipBatch:
        self.roll.at(step + 1, "reads")
        began = time.perf_counter()
        batch = next(self.batches).to(self.device)
        self.waited += time.perf_counter() - began
        self.roll.at(step + 1, "trains")
        return batch

    def _step(self, step: int) -> float:
        """One step of the optimiser over this rank's groups; returns the learning rate."""
        recipe, optim = self.recipe, self.recipe.optim
        rate = set_learning_rate(self.optimizer, step, optim)
        self.optimizer.zero_grad(set_to_none=True)
        progress = step / optim.steps
        held: dict[int, ClipBatch] = {}
        negatives: dict[int, Tensor] = {}
        if recipe.objective.negatives == "all_groups":
            held = {group: self._next_batch(step) for group in self.mine}
            drawn = {group: self._generator(step, group) for group in self.mine}
            negatives = other_groups_features(self.train_step, held, drawn, progress, recipe.data.groups, self.world)
        for group in self.mine:
            sync_gradients(self.model, group == self.mine[-1])
            batch = held.pop(group) if held else self._next_batch(step)
            loss, metrics = self.model(batch, self._generator(step, group), progress, negatives.get(group))
            (loss * (self.world / recipe.data.groups)).backward()
            for name, value in metrics.items():
                self.seen.setdefault(name, []).append(value.detach())
        norm = whole(nn.utils.clip_grad_norm_(self.net.parameters(), optim.clip_norm))
        # After the gradient all-reduce every rank holds the same norm, so all decide alike. It is the one number of a
        # step that the host waits for.
        if math.isfinite(float(norm)):
            self.optimizer.step()
            if self.ema is not None:
                self.ema.update(self.net, step)
        else:
            self.standing.skipped += 1
            log.warning("step %d skipped: its gradient is not finite (%d so far)", step, self.standing.skipped)
            if self.standing.skipped > optim.max_skipped:
                raise SSTrackError(
                    f"{self.standing.skipped} steps had no finite gradient, more than "
                    f"optim.max_skipped={optim.max_skipped}; lower optim.lr ({optim.lr}) and start a new run"
                )
        if self.watch is not None:
            self.watch.step(step + 1, batch, self._generator(step, group).initial_seed(), progress)
        return rate

    def _probe(self) -> None:
        self.net.eval()
        found = [template_use(self.net, probe) for probe in self.probes]
        self.net.train()
        if self.rank == 0:
            for name, value in (item for use in found for item in use.items()):
                self.seen.setdefault(name, []).append(value)

    def _count_replaced(self) -> None:
        replaced = self.loader.replaced
        for name, share in (("data_damaged", replaced.share_damaged), ("data_unusable", replaced.share_unusable)):
            self.seen.setdefault(name, []).append(torch.tensor(share))

    def _look(self, validation: Validation) -> dict[str, float]:
        merge_running_statistics(self.net, self._share(), self.world)
        if self.ema is None:
            return validation.look(self.train_step, self.device)
        with self.ema.in_place_of(self.net):
            return validation.look(self.train_step, self.device)

    def _save(self) -> None:
        merge_running_statistics(self.net, self._share(), self.world)
        tensors = snapshot(self.net, self.optimizer, self.ema)
        if self.metrics is not None:
            self.metrics.flush()
            self.checkpoints.save(
                Checkpoint(self.standing.step, tensors, self.standing.facts()), self.standing.best_step
            )

    def _finish(self) -> tuple[TrackerNet, int]:
        """Wait until the last checkpoint is written, and put the network together that is to be used."""
        if self.rank == 0:
            self.checkpoints.wait(last=True)
        if self.world > 1:
            dist.barrier()  # so that no rank ends its process while others still need it
        net = TrackerNet(self.recipe.net)
        step = self.standing.step
        if self.recipe.validation.patience > 0 and self.standing.best_step:
            step = self.standing.best_step
            tensors = self.checkpoints.load(step).tensors
        else:
            tensors = snapshot(self.net, self.optimizer, self.ema)
        load_whole(net, tensors.get("ema", tensors["net"]))
        return net, step

    def _resume(self) -> Standing:
        """Fill network and optimiser from the newest checkpoint; all ranks take the one that rank 0 finds."""
        found = self.checkpoints.newest() if self.rank == 0 else None
        if self.world > 1:
            step: list[int] = [found.step if found else 0]
            dist.broadcast_object_list(step, src=0)
            if self.rank > 0 and step[0]:
                found = self.checkpoints.load(step[0])
        if found is None:
            return Standing()
        restore(found.tensors, self.net, self.optimizer, self.ema)
        return Standing.from_facts(found.facts)

    def _share(self) -> float:
        return len(self.mine) / self.recipe.data.groups

    def _generator(self, step: int, group: int) -> torch.Generator:
        """The draws of one group of one step."""
        low, high, *_ = seed_words("objective", self.recipe.seed, step, group)
        return torch.Generator(self.device).manual_seed((high << 31) ^ low)
