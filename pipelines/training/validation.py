"""A look at clips held out of the training: always the same samples, so that two looks can be compared."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor

from pipelines.dataset.dataset import Dataset
from pipelines.dataset.draws import seed_words
from pipelines.dataset.modes import open_loader
from pipelines.training.ranks import mean_over_ranks
from sstrack.configs.recipe import Recipe
from sstrack.objectives.step import TrainStep

LOSS = "validation_loss"


@dataclass
class Standing:
    """Where a training stands, beside its tensors. Every rank holds the same."""

    step: int = 0
    skipped: int = 0
    """Steps without a finite gradient so far."""
    best_step: int = 0
    """Step of the lowest validation loss, 0 before the first look."""
    best_loss: float = float("inf")
    looks_since: int = 0
    """Looks since then."""
    stopped: bool = False
    """Whether validation ended the training early."""

    def facts(self) -> dict[str, Any]:
        """As JSON; infinity is none."""
        return {**asdict(self), "best_loss": self.best_loss if self.best_step else None}

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> "Standing":
        return cls(**{**facts, "best_loss": float("inf") if facts["best_loss"] is None else facts["best_loss"]})

    def looked(self, loss: float, patience: int) -> bool:
        """Take in a validation loss; whether it is the lowest so far. NaN never is."""
        better = loss < self.best_loss
        if better:
            self.best_step, self.best_loss, self.looks_since = self.step, loss, 0
        else:
            self.looks_since += 1
            self.stopped = 0 < patience <= self.looks_since
        return better


class Validation:
    """The held-out samples of one rank."""

    def __init__(self, datasets: Sequence[Dataset], recipe: Recipe, rank: int, world: int, *, sharded: bool) -> None:
        """Raises SSTrackError where fewer clips are held out than a group takes."""
        config = replace(recipe.data, groups=1)
        held = [replace(each, held_out=recipe.validation.share, use="validation") for each in datasets]
        self._loader = open_loader(held, config, recipe.seed)
        # Sharded ranks put every layer together in step, so all of them look at all groups.
        self._mine = range(recipe.validation.groups) if sharded else range(rank, recipe.validation.groups, world)
        self._seed, self._world = recipe.seed, world

    @torch.no_grad()
    def look(self, train_step: TrainStep, device: torch.device) -> dict[str, float]:
        """Mean loss and metrics over the held-out samples, names led by `validation_`. All ranks call it."""
        seen: dict[str, list[Tensor]] = {}
        train_step.eval()
        for number in self._mine:
            low, high, *_ = seed_words("validation", self._seed, number)
            generator = Generator(device).manual_seed((high << 31) ^ low)
            # As in the last step: no known templates, all of the elimination.
            loss, metrics = train_step(self._loader.group(number, 0).to(device), generator, 1.0)
            for name, value in {**metrics, "loss": loss}.items():
                seen.setdefault(name, []).append(value.detach())
        train_step.train()
        return {f"validation_{name}": value for name, value in mean_over_ranks(seen, self._world, device).items()}

    def close(self) -> None:
        self._loader.close()
