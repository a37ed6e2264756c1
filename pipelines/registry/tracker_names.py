"""What a tracker is called: results lie under digests, people know runs and versions."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.registry.models import digest_of
from pipelines.registry.names import CHAMPION, PROMOTED_AT
from pipelines.settings import settings

if TYPE_CHECKING:
    from pipelines.registry.versions import Registered

log = logging.getLogger(__name__)

TRACKER = "tracker.json"


@dataclass(frozen=True)
class Former:
    """A version that is or was champion, with what it scored when it was judged."""

    label: str
    metrics: dict[str, float]
    when: str
    """The day it became champion."""


def note_tracker(folder: str, model: str, tracking: Mapping[str, Any]) -> None:
    """Write into the folder of a tracker's results what it was called when it was first measured."""
    place = storage.join(folder, TRACKER)
    if storage.exists(place):
        return
    if model.startswith("models:/") and "@" in model:  # an alias moves, its version does not
        from pipelines.registry.versions import find

        model = find(settings().mlflow_uri, model).uri
    storage.write_atomic(place, json.dumps({"model": model, "tracking": dict(tracking)}).encode())


def tracker_name(folder: Path) -> str:
    """A short name for the tracker whose results lie in `folder`, which is called by its digest."""
    data = storage.read_if_exists(str(folder / TRACKER))
    if data is None:
        return folder.name
    try:
        facts = json.loads(data)
        model, tracking = str(facts["model"]), dict(facts["tracking"])
    except (ValueError, KeyError, TypeError) as error:
        raise SSTrackError(f"{folder / TRACKER} is damaged ({error!r}): delete it and evaluate again") from error
    options = ", ".join(f"{name}={value}" for name, value in tracking.items())
    name = _short(model)
    if not tracking:
        version = next((v for v in _registered() if digest_of(v.package_digest, {}) == folder.name), None)
        name = name if version is None else _version(version)
    return f"{name} ({options})" if options else name


def former_champions(benchmark: str, rule: str, annotation: str) -> list[Former]:
    """Versions that were made champion and were scored on `benchmark` (`<name>@<version>`) with this annotation by
    `rule`, newest first."""
    from pipelines.registry.model_scores import MODEL_ID, measured_on
    from pipelines.registry.runs import registry_client

    found: list[Former] = []
    for version in _registered():
        if PROMOTED_AT not in version.tags or not version.tags.get(MODEL_ID):
            continue
        model = registry_client(settings().mlflow_uri).get_logged_model(version.tags[MODEL_ID])
        metrics: dict[str, float] = {}
        for logged in model.metrics or []:
            if logged.key.count("/") == 2:
                _, used, metric = logged.key.split("/")
                if used == rule and logged.dataset_digest == measured_on(benchmark, annotation):
                    metrics[metric] = float(logged.value)
        if metrics:
            found.append(Former(_version(version), metrics, version.tags[PROMOTED_AT][:10]))
    return found


def champion_name() -> str | None:
    """What `tracker_name` calls the champion's results."""
    return next((_version(version) for version in _registered() if _is_champion(version)), None)


def champion_digest() -> str | None:
    """What the champion's results lie under, where it tracked as it was trained to."""
    return next((digest_of(version.package_digest, {}) for version in _registered() if _is_champion(version)), None)


def _registered() -> "list[Registered]":
    """All versions; none where no store was made yet or it does not answer, for a report does without."""
    here = settings()
    if here.mlflow_uri.startswith("sqlite:///") and not Path(here.mlflow_uri.removeprefix("sqlite:///")).is_file():
        return []
    from mlflow.exceptions import MlflowException

    from pipelines.registry.versions import versions

    try:
        return versions(here.mlflow_uri, here.model_name)
    except (MlflowException, SSTrackError) as error:
        log.warning("the report names no registered versions: %s does not answer (%s)", here.mlflow_uri, error)
        return []


def _version(version: "Registered") -> str:
    return f"{version.name}/{version.version}{' (champion)' if _is_champion(version) else ''}"


def _is_champion(version: "Registered") -> bool:
    return CHAMPION in version.aliases


def _short(model: str) -> str:
    if model.startswith("models:/"):
        return model.removeprefix("models:/")
    if model.startswith("untrained:"):
        return f"untrained {model.removeprefix('untrained:')}"
    parts = [part for part in Path(model).parts if part != "package"]
    return parts[-1] if parts else model
