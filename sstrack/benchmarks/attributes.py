"""Attributes of sequences: 0/1 columns in the order that each benchmark's toolkit gives them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sstrack.benchmarks.scores import Scores
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.text import flags

OTB_ATTRIBUTES = ("IV", "OPR", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OV", "BC", "LR")
UAV_ATTRIBUTES = ("SV", "ARC", "LR", "FM", "FOC", "POC", "OV", "BC", "IV", "VC", "CM", "SOB")
LASOT_ATTRIBUTES = ("IV", "POC", "DEF", "MB", "CM", "ROT", "BC", "VC", "SV", "FOC", "FM", "OV", "LR", "ARC")
TNL2K_ATTRIBUTES = (
    "CM", "ROT", "DEF", "FOC", "IV", "OV", "POC", "VC", "SV", "BC", "MB", "ARC", "LR", "FM", "AS", "TC", "MS",
)  # fmt: skip


def read_attributes(folder: Path, name: str, labels: tuple[str, ...]) -> frozenset[str]:
    """Labels set in `folder`/`name`.txt, none without such a file. ValueError for another number of columns."""
    path = folder / f"{name}.txt"
    if not path.is_file():
        return frozenset()
    values = flags(path.read_bytes(), str(path))
    if len(values) != len(labels):
        raise ValueError(f"{path} has {len(values)} values for the {len(labels)} attributes {', '.join(labels)}")
    return frozenset(label for label, value in zip(labels, values, strict=True) if value)


def by_attribute(scores: Scores, truths: Sequence[Truth]) -> dict[str, dict[str, float]]:
    """The headline over the sequences that carry each attribute or, for at least one frame, each tag.

    Returns attribute -> {"value": the number, "sequences": how many carry it}; empty where truth names none.
    """
    part = scores.parts.get(scores.headline)
    labels = {
        truth.name: truth.attributes | {tag for tag, frames in truth.tags.items() if frames.any()} for truth in truths
    }
    found: dict[str, dict[str, float]] = {}
    for label in sorted(frozenset().union(*labels.values())) if part else ():
        chosen = np.array([label in labels[name] for name in scores.per_sequence], dtype=np.float64)
        if part is not None and chosen.any():
            value = float(part.value(chosen[None])[0])
            if np.isfinite(value):
                found[label] = {"value": value, "sequences": float(chosen.sum())}
    return found
