"""What a training is: datasets at fixed manifests, a recipe, and the names that follow from them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pipelines.dataset.dataset import Dataset
from pipelines.training.options import TrainOptions
from sstrack.configs.recipe import Recipe, as_dict, config_digest, from_dict


@dataclass(frozen=True)
class RunIdentity:
    """What a checkpoint belongs to; resuming anything else is refused."""

    config_digest: str
    data_digest: str


@dataclass(frozen=True)
class TrainJob:
    """All that a rank needs to know."""

    datasets: tuple[Dataset, ...]
    recipe: Recipe
    folder: str
    """The run's folder, local or on s3://, that all ranks reach: `metrics.jsonl`, `checkpoints/`, packages."""
    run_key: str
    workers: str = "0"
    """Ray Train workers, see `worker_range`."""
    options: TrainOptions = field(default_factory=TrainOptions)

    @property
    def identity(self) -> RunIdentity:
        return RunIdentity(config_digest(self.recipe), data_digest(self.datasets))

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON types, to travel to other processes."""
        return {
            "datasets": [asdict(each) for each in self.datasets],
            "recipe": as_dict(self.recipe),
            "folder": self.folder,
            "run_key": self.run_key,
            "workers": self.workers,
            "options": self.options.model_dump(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "TrainJob":
        return cls(
            datasets=tuple(Dataset(**each) for each in data["datasets"]),
            recipe=from_dict(data["recipe"]),
            folder=data["folder"],
            run_key=data["run_key"],
            workers=data["workers"],
            options=TrainOptions(**data["options"]),
        )


def data_digest(datasets: Sequence[Dataset]) -> str:
    """The manifest of a single dataset; of a mixture, sha256 (hex) over manifests and weights, which count relative to
    each other and in the order given."""
    if len(datasets) == 1:
        return datasets[0].manifest
    total = sum(each.weight for each in datasets)
    parts = [[each.manifest, round(each.weight / total, 9)] for each in datasets]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def run_key(recipe: Recipe, data: str) -> str:
    """`{recipe}-{data8}-{config8}`: the one name of this training everywhere. `data`: its data digest."""
    return f"{recipe.name}-{data[:8]}-{config_digest(recipe)[:8]}"
