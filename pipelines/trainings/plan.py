"""What a retrain would do now and why, what it would find done, and what the rest costs by earlier trainings' speed."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipelines import storage
from pipelines.dataset.manifest import head, load_manifest
from pipelines.errors import SSTrackError
from pipelines.evaluation.targets import check_judge, open_target
from pipelines.registry.versions import champion
from pipelines.training.metrics import read_metrics
from pipelines.training.options import ends
from pipelines.training.result import find_result
from pipelines.training.spec import TrainingSpec
from pipelines.trainings.find import find_training, known_recipe


@dataclass(frozen=True)
class Cost:
    """What is still to be paid, from the median speed of a training of the same recipe in the same folder of runs."""

    measured: str
    """Run key of the training that was measured."""
    samples_per_s: float
    seconds: float
    worker_hours: float
    """Hours of one worker, and of one GPU where workers take one each."""
    mib: float
    """MiB that the run's folder will take, as that one's does."""


@dataclass(frozen=True)
class Plan:
    """What `retrain-tracker` would do with the same arguments."""

    decision: str
    """One sentence."""
    trains: bool
    """Whether anything would be trained."""
    problem: str
    """What stands against it, in one sentence; empty where nothing does."""
    why: tuple[str, ...]
    """What was looked at, a sentence each."""
    dataset: str
    manifest: str | None
    clips: int
    video_s: float
    run_key: str
    steps_done: int
    steps: int
    champion: str | None
    sequences: int
    """Sequences that the model would be judged on."""
    cost: Cost | None
    """None where nothing is to be trained, or no training of this recipe was measured."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def reasons(self) -> list[str]:
        """What was looked at, then what it costs, a sentence each."""
        lines = list(self.why)
        if self.cost is not None:
            lines.append(
                f"cost: about {self.cost.seconds / 60:.0f} min at {self.cost.samples_per_s} samples/s, as run "
                f"{self.cost.measured} had; {self.cost.worker_hours} worker-hours, {self.cost.mib:.0f} MiB of storage"
            )
        elif self.trains:
            lines.append("cost: unknown, as no training of this recipe was measured in this folder of runs")
        return lines


def plan_retrain(
    uri: str,
    name: str,
    dataset: str,
    recipe: str,
    overrides: Mapping[str, Any],
    runs: str,
    judges: Mapping[str, str],
    workers: int | str | None = None,
) -> Plan:
    """Look, and start nothing.

    Args:
        uri: MLflow store.
        name: of the registered model.
        dataset: the dataset's folder.
        recipe: a recipe's name.
        overrides: dotted field to value.
        runs: folder of runs.
        judges: folders of the benchmarks that the model is judged on, by their names.
        workers: Ray Train workers, as a retrain is given them.

    Raises UsageError for an unknown recipe or field, SSTrackError where a store cannot be read.
    """
    holder = champion(uri, name)
    version = holder.version if holder else None
    if head(dataset) is None:
        known_recipe(recipe, overrides)  # a wrong word is refused before there are clips, too
        nothing = "nothing to do: no dataset was published yet"
        why = (f"there is no manifest in {dataset}: `sstrack ingest VIDEOS --out {dataset}` makes one",)
        return Plan(nothing, False, "", why, dataset, None, 0, 0.0, "", 0, 0, version, 0, None)
    manifest = load_manifest(dataset)
    spec = find_training([dataset], recipe, overrides, runs, workers=workers)
    sequences, problem = _judges_of(judges)
    steps, done = spec.recipe.optim.steps, find_result(spec.folder) is not None
    reached = steps if done else _reached(spec.folder)
    why = [
        f"manifest {manifest.digest[:8]} of {dataset}: {manifest.totals.clips} clips, "
        f"{manifest.totals.seconds_kept / 60:.1f} min of video",
        f"champion: version {version}, run {holder.run_key}" if holder else "champion: none yet",
        problem or f"judged on {', '.join(f'{n} in {p}' for n, p in judges.items())}: {sequences} sequences",
    ]
    if done and holder is not None and holder.run_key == spec.run_key:
        decision = f"nothing new: the champion, version {version}, is the model of these clips and this recipe"
    elif done:
        decision = f"run {spec.run_key} is trained already: it is evaluated, and judged against the champion"
    elif reached:
        decision = f"run {spec.run_key} goes on after step {reached} of {steps}, then it is judged"
    else:
        decision = f"run {spec.run_key} is trained from its start, {steps} steps, then it is judged"
    return Plan(
        decision,
        not done and not problem,
        problem,
        tuple(why),
        dataset,
        manifest.digest,
        manifest.totals.clips,
        manifest.totals.seconds_kept,
        spec.run_key,
        reached,
        steps,
        version,
        sequences,
        None if done else _cost(spec, runs, steps - reached),
    )


def _judges_of(judges: Mapping[str, str]) -> tuple[int, str]:
    """How many sequences the benchmarks have here, and what is wrong with the first that is not as it should be."""
    try:
        for benchmark, root in judges.items():
            check_judge(benchmark, root)
        return sum(len(open_target(*judge).sequences) for judge in judges.items()), ""
    except SSTrackError as error:
        return 0, f"the retrain would be refused: {error}"


def _reached(folder: str) -> int:
    rows = read_metrics(folder)
    return int(rows[-1]["step"]) if rows else 0


def _cost(spec: TrainingSpec, runs: str, steps: int) -> Cost | None:
    """By the newest training of the recipe that has metrics; this very one, where it has begun, before others."""
    data = spec.recipe.data
    others = sorted(_folders_of(runs, spec.recipe.name), key=lambda folder: folder != spec.folder)
    for folder in others:
        speeds = [row["samples_per_s"] for row in read_metrics(folder) if row.get("samples_per_s", 0.0) > 0]
        if speeds:
            speed = statistics.median(speeds)
            seconds = steps * data.groups * data.group_size / speed
            size = sum(each.size for each in storage.list_objects(folder))
            hours = seconds / 3600 * max(1, ends(spec.workers)[1])
            return Cost(
                folder.rstrip("/").rpartition("/")[2], round(speed, 2), round(seconds, 1), round(hours, 3),
                round(size / 2**20, 1),
            )  # fmt: skip
    return None


def _folders_of(runs: str, recipe: str) -> set[str]:
    """Folders of trainings of a recipe, by their keys."""
    found: set[str] = set()
    prefix = runs.rstrip("/") + "/"
    for each in storage.list_objects(runs):
        key, _, file = each.uri.removeprefix(prefix).partition("/")
        if file == "metrics.jsonl" and key.rsplit("-", 2)[0] == recipe:
            found.add(storage.join(runs, key))
    return found
