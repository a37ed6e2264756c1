"""What a finished training leaves beside its packages: `result.json`, whose presence says that the run is whole."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipelines import storage
from pipelines.training.packages import template_facts
from pipelines.training.spec import TrainingSpec

_NAME = "result.json"


@dataclass(frozen=True)
class TrainResult:
    """A finished run."""

    run_key: str
    recipe: str
    manifest: str
    """The manifest it was trained on; of a mixture all of them, with a comma between them."""
    data: str
    """Digest of the clips and weights, which the run key is made of: other manifests may have it too."""
    datasets: list[dict[str, Any]]
    """URI, manifest and weight of each."""
    package: str
    """Folder of the trained model package, local or on s3://."""
    untrained: str
    """Folder of the package of the same network before its first step."""
    steps: int
    """Steps done: fewer than the recipe's where validation ended it."""
    loss_start: float
    """Mean loss over the first row of metrics."""
    loss_end: float
    """Mean loss over the last row of metrics."""
    seconds: float
    """Time this run trained, over all its attempts' last one."""
    found: bool
    """Whether it was already done."""
    template_lead: float | None = None
    """Overlap with the right template less that with a black or foreign one, on real frames at the end."""
    warning: str = ""
    """What is wrong with the model, if something is known."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_result(folder: str) -> TrainResult | None:
    """The result of the training in `folder`, None where it is not done."""
    found = storage.read_if_exists(storage.join(folder, _NAME))
    return None if found is None else TrainResult(**{**json.loads(found), "found": True})


def keep_result(spec: TrainingSpec, rows: Sequence[Mapping[str, float]], seconds: float) -> TrainResult:
    """Say that the training is done. Called last of all; `rows` are its metrics."""
    done = TrainResult(
        run_key=spec.run_key,
        recipe=spec.recipe.name,
        manifest=spec.manifests,
        data=spec.identity.data_digest,
        datasets=[{"uri": each.uri, "manifest": each.manifest, "weight": each.weight} for each in spec.datasets],
        package=storage.join(spec.folder, "package"),
        untrained=storage.join(spec.folder, "untrained"),
        steps=int(rows[-1]["step"]),
        loss_start=rows[0]["loss"],
        loss_end=rows[-1]["loss"],
        seconds=seconds,
        found=False,
        **template_facts(rows),
    )
    storage.write_atomic(storage.join(spec.folder, _NAME), json.dumps(done.as_dict(), indent=1).encode())
    return done
