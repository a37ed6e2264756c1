"""What a training is: datasets at fixed manifests, a recipe, and the names that follow from them. Knows no torch."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipelines import storage
from pipelines.dataset.dataset import Dataset
from pipelines.settings import settings
from pipelines.training.begun import as_begun
from pipelines.training.initial_weights import settle_weights
from pipelines.training.options import TrainOptions, worker_range
from sstrack.configs.recipe import Recipe, as_dict, config_digest, from_dict


@dataclass(frozen=True)
class RunIdentity:
    """What a checkpoint belongs to; resuming anything else is refused."""

    config_digest: str
    data_digest: str


@dataclass(frozen=True)
class TrainingSpec:
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

    @property
    def manifests(self) -> str:
        """The manifests that are read, in the datasets' order, with a comma between them."""
        return ",".join(each.manifest for each in self.datasets)

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
    def from_dict(cls, data: dict[str, Any]) -> "TrainingSpec":
        return cls(
            datasets=tuple(Dataset(**each) for each in data["datasets"]),
            recipe=from_dict(data["recipe"]),
            folder=data["folder"],
            run_key=data["run_key"],
            workers=data["workers"],
            options=TrainOptions(**data["options"]),
        )


def settle(
    datasets: Sequence[Dataset],
    recipe: Recipe,
    runs: str,
    workers: int | str = 0,
    options: TrainOptions | None = None,
) -> TrainingSpec:
    """The training that these make, with its key and its folder `<runs>/<run key>`; initial weights are fetched, a
    training that had begun keeps its manifests.

    Args:
        datasets: as `open_datasets` opens them.
        recipe: the whole configuration.
        runs: folder of runs, local or on s3://.
        workers: Ray Train workers: a number, or a range like "2-8"; 0 trains in this process without Ray, with the same
            result for the same recipe.
        options: how it runs, what is kept.

    Raises UsageError for workers or weights that cannot be, SSTrackError where a store cannot be read.
    """
    recipe = settle_weights(recipe, settings().work / "weights")
    held = tuple(replace(each, held_out=recipe.validation.share) for each in datasets)
    key = run_key(recipe, held)
    folder = storage.join(runs, key)
    return TrainingSpec(as_begun(folder, held), recipe, folder, key, worker_range(workers), options or TrainOptions())


def data_digest(datasets: Sequence[Dataset]) -> str:
    """sha256 (hex) over the datasets' contents and weights, which count relative to each other and in the order given.

    Whatever leaves the clips and their order as they are leaves it too: where a dataset lies, how its clips are spread
    over shards, what was rejected.
    """
    total = sum(each.weight for each in datasets)
    assert all(each.content for each in datasets), "a training needs datasets that `open_datasets` opened"
    parts = [[each.content, round(each.weight / total, 9)] for each in datasets]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def run_key(recipe: Recipe, datasets: Sequence[Dataset]) -> str:
    """`{recipe}-{data8}-{config8}`: the one name of this training everywhere."""
    return f"{recipe.name}-{data_digest(datasets)[:8]}-{config_digest(recipe)[:8]}"
