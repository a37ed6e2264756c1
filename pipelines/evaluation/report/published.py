"""Figures that others have published, from `published.json`, which names the source of each."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Published:
    """One tracker's published figures on one benchmark."""

    name: str
    metrics: dict[str, float]
    labels: str
    """What it was trained with: `none` (self-supervised) or `all` labels."""
    source: str
    """Where the figures stand, in words."""


def published_on(benchmark: str) -> list[Published]:
    """Trackers with figures on `benchmark`, as listed."""
    data = _data()
    found: list[Published] = []
    for row in data["trackers"]:
        metrics = row["figures"].get(benchmark)
        if metrics:
            source = data["sources"][row["source"]]
            words = f"{source['title']} ({source['repository']} on GitHub)"
            found.append(Published(row["name"], metrics, row["labels"], words))
    return found


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    return json.loads((files("pipelines.evaluation.report") / "published.json").read_text())
