"""The training loop. It runs the same with or without Ray: in one process, or as one rank of a process group.

The global batch is a fixed list of groups; rank r takes groups r, r + world, … and weighs them so that the averaged
gradient is the mean over all groups, whatever the world size.
"""

import logging
import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipelines import storage
from pipelines.dataset.draws import seed_words
from pipelines.dataset.modes import open_loader
from pipelines.errors import SSTrackError
from pipelines.training.checkpoint import Checkpoint, Checkpoints
from pipelines.training.ema import Ema
from pipelines.training.feed import Feed
from pipelines.training.initial_net import initial_net
from pipelines.training.meter import RowMeter
from pipelines.training.metrics import MetricsLog
from pipelines.training.negatives import other_groups_features
from pipelines.training.optimizer import build_optimizer, set_learning_rate
from pipelines.training.parallel import in_step, shard, sync_gradients
from pipelines.training.ranks import arithmetic, merge_running_statistics, workable_precision
from pipelines.training.schedule import Schedule
from pipelines.training.spec import TrainingSpec
from pipelines.training.stall import RollCall
from pipelines.training.state import load_whole, restore, snapshot, whole
from pipelines.training.validation import LOSS, Standing, Validation
from pipelines.training.watch import Watch, plan_watch
from sstrack.models.backbone import spell_out_attention
from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.registry import build_objective
from sstrack.objectives.step import TrainStep, compile_network
from sstrack.objectives.template_use import TemplateProbe, real_probe, render_probe, template_use

log = logging.getLogger(__name__)

Report = Callable[[int, dict[str, float]], None]
"""Called by every rank at the same steps: steps done, and metrics averaged over ranks."""


def train_rank(
    spec: TrainingSpec, rank: int, world: int, device: torch.device, report: Report
) -> tuple[TrackerNet, int]:
    """Train to the recipe's last step, or until validation says stop, from the newest checkpoint on if there is one.

    Returns the network to be used, whole and on the CPU (the average of its weights where one is kept, that of the best
    step where validation may stop a training), and the step it is of.

    Raises SSTrackError if more steps than allowed were not finite, if the checkpoint is another run's, if checkpoints
    cannot be written, or if other ranks are lost.
    """
    roll = RollCall(rank, world, spec.options.timeout_s)
    with arithmetic(spec.recipe.optim.deterministic), roll.answered():
        training = _Rank(spec, rank, world, device, report, roll)
        try:
            return training.run()
        finally:
            training.close()


class _Rank:
    """One rank of one training."""

    def __init__(
        self, spec: TrainingSpec, rank: int, world: int, device: torch.device, report: Report, roll: RollCall
    ) -> None:
        self.spec, self.rank, self.world, self.device = spec, rank, world, device
        self.report = report
        recipe = self.recipe = spec.recipe
        self.schedule = Schedule.of(recipe)
        self.net = initial_net(recipe)[0].to(device)
        sharded = spec.options.parallel == "fsdp" and world > 1
        if sharded:
            shard(self.net, device)
        self.optimizer = build_optimizer(self.net, recipe.optim, recipe.data.groups * recipe.data.group_size)
        self.ema = Ema(self.net, recipe.optim.ema_decay) if recipe.optim.ema_decay > 0 else None
        self.checkpoints = Checkpoints(storage.join(spec.folder, "checkpoints"), spec.identity, spec.options.keep)
        self.standing = self._resume()
        self.metrics = MetricsLog(spec.folder, self.standing.step) if rank == 0 else None
        self.mine = list(range(rank, recipe.data.groups, world))
        self.meter = RowMeter(world, device, recipe.data.groups * recipe.data.group_size)
        self.feed = Feed(open_loader(spec.datasets, recipe.data, recipe.seed), device, roll, self.meter)
        self.validation = (
            Validation(spec.datasets, recipe, rank, world, sharded=sharded) if recipe.validation.share > 0 else None
        )
        self.probes: list[TemplateProbe] = []
        # Sharded ranks put every layer together in step, so all of them measure it.
        if recipe.objective.template_use_every > 0 and (rank == 0 or sharded):
            first = self.feed.loader.group(0, 0)
            made = [make(first, recipe.net, recipe.seed) for make in (render_probe, real_probe)]
            self.probes = [probe.to(device) for probe in made]
        precision = workable_precision(recipe.optim.precision, device)
        if device.type == "cpu" and precision == "bf16":
            spell_out_attention(self.net.backbone)
        if recipe.optim.compile:
            compile_network(self.net)
        self.train_step = TrainStep(self.net, build_objective(recipe.net, recipe.objective), precision)
        self.model = in_step(self.train_step, device) if world > 1 else self.train_step
        self.watch: Watch | None = None
        if rank == 0 or sharded:
            plan = plan_watch(recipe.optim.steps, spec.options.view_every, spec.options.profile)
            self.watch = Watch(spec.folder, plan, self.train_step, self.standing.step, self.probes[1:], keeps=rank == 0)

    def run(self) -> tuple[TrackerNet, int]:
        steps, standing = self.recipe.optim.steps, self.standing
        if self.rank == 0:
            log.info(
                "training %s from step %d to %d in %d process(es)",
                *(self.recipe.name, standing.step, steps, self.world),
            )
        ahead = range(standing.step, 0 if standing.stopped else steps)
        self.feed.begin(ahead, self.mine)
        self.meter.begin(standing.step)
        self.train_step.train()
        if self.watch is not None:
            self.watch.begin()
        for step in ahead:
            rate = self._step(step)
            standing.step = step + 1
            due = self.schedule.after(standing.step)
            if due.probe and self.probes:
                self._probe()
            looked = self._look() if due.look else {}
            better = bool(looked) and standing.looked(looked[LOSS], self.recipe.validation.patience)
            saves = due.save or better or standing.stopped
            if due.row or saves:
                self._tell(rate, looked)
            if saves:
                self._save()
            if standing.stopped:
                break
        return self._finish()

    def close(self) -> None:
        if self.watch is not None:
            self.watch.close()
        self.checkpoints.close()
        self.feed.loader.close()
        if self.validation is not None:
            self.validation.close()

    def _step(self, step: int) -> float:
        """One step of the optimiser over this rank's groups; returns the learning rate."""
        recipe, optim = self.recipe, self.recipe.optim
        rate = set_learning_rate(self.optimizer, step, optim)
        self.optimizer.zero_grad(set_to_none=True)
        progress = step / optim.steps
        held: dict[int, ClipBatch] = {}
        negatives: dict[int, Tensor] = {}
        if recipe.objective.negatives == "all_groups":
            held = {group: self.feed.next(step) for group in self.mine}
            drawn = {group: self._generator(step, group) for group in self.mine}
            negatives = other_groups_features(self.train_step, held, drawn, progress, recipe.data.groups, self.world)
        for group in self.mine:
            sync_gradients(self.model, group == self.mine[-1])
            batch = held.pop(group) if held else self.feed.next(step)
            loss, metrics = self.model(batch, self._generator(step, group), progress, negatives.get(group))
            (loss * (self.world / recipe.data.groups)).backward()
            for name, value in metrics.items():
                self.meter.note(name, value)
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
                self.meter.note(name, value)

    def _look(self) -> dict[str, float]:
        assert self.validation is not None
        merge_running_statistics(self.net, self._share(), self.world)
        if self.ema is None:
            return self.validation.look(self.train_step, self.device)
        with self.ema.in_place_of(self.net):
            return self.validation.look(self.train_step, self.device)

    def _tell(self, rate: float, looked: dict[str, float]) -> None:
        """One row of metrics, of all ranks."""
        self.feed.note_replaced()
        row = self.meter.row(self.standing.step, looked)
        row["lr"] = rate
        row["skipped"] = float(self.standing.skipped)
        if self.metrics is not None:
            self.metrics.add(self.standing.step, row)
        self.report(self.standing.step, row)

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
