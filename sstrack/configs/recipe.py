"""One whole training configuration, a recipe, and its names: as JSON and as a digest.

A recipe is a tree of frozen dataclasses. Its canonical JSON, hashed, is its name in every key (`config_digest`), so a
changed value can never be mistaken for the run that came before it. Named recipes are in `sstrack.recipes`.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sstrack.bounds import check
from sstrack.configs.data import DataConfig, ValidationConfig
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.configs.optim import OptimConfig
from sstrack.configs.tracking import TrackingConfig

STAGE_VERSION = 4
"""Raised when a recipe of the same values means another training, so that old runs are not found for it."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One whole training configuration."""

    name: str
    net: NetConfig = field(default_factory=NetConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    checkpoint_every: int = 50
    """Steps between checkpoints."""
    seed: int = 1

    def __post_init__(self) -> None:
        check(self.checkpoint_every >= 1, self, "checkpoint_every", "must be at least 1")
        check(
            self.data.n_search <= self.net.max_templates,
            self.data,
            "n_search",
            f"gives more memory templates than net.max_templates ({self.net.max_templates})",
        )
        check(
            self.tracking.memory < self.net.max_templates,
            self.tracking,
            "memory",
            f"plus the first template exceeds net.max_templates ({self.net.max_templates})",
        )

    @property
    def tracking_as_trained(self) -> TrackingConfig:
        """How the network tracks: `tracking`, with `carry_frames` of the training where it names none."""
        if self.tracking.carry_frames is not None:
            return self.tracking
        trained = self.objective.carried_frames(self.data.n_search)
        return dataclasses.replace(self.tracking, carry_frames=trained)


def as_dict(node: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON types."""
    return dataclasses.asdict(node)


def from_dict(data: Mapping[str, Any]) -> Recipe:
    """Inverse of `as_dict`. Raises ValueError on a field that is unknown or missing, or on a value out of bounds."""
    try:
        return Recipe(
            name=str(data["name"]),
            net=NetConfig(**data["net"]),
            objective=ObjectiveConfig(**data["objective"]),
            data=DataConfig(**data["data"]),
            optim=OptimConfig(**data["optim"]),
            validation=ValidationConfig(**data.get("validation", {})),
            tracking=TrackingConfig(**data["tracking"]),
            checkpoint_every=int(data["checkpoint_every"]),
            seed=int(data["seed"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is no recipe of this version: {error}") from None


def without_paths(node: Recipe) -> Recipe:
    """The recipe with a file of initial weights named by its digest alone: nothing in it tells of a machine."""
    if not node.net.weights_sha256:
        return node
    return dataclasses.replace(node, net=dataclasses.replace(node.net, weights=f"sha256:{node.net.weights_sha256}"))


def config_digest(node: Recipe) -> str:
    """sha256 (hex) of the recipe's canonical JSON and the stage version.

    Initial weights count by their digest where it is known, so that a file may lie anywhere.
    """
    canonical = json.dumps(
        {"stage": STAGE_VERSION, **as_dict(without_paths(node))}, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
