"""What scoring takes and gives: a tracker's raw results, a named rule, its scores."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.bootstrap import Parts
from sstrack.benchmarks.regions import Regions
from sstrack.benchmarks.sequence import Truth

Boxes = NDArray[np.float64]


@dataclass(frozen=True)
class Results:
    """One tracker's raw results by sequence, in the benchmark's own coordinates. A sequence without any is missing."""

    boxes: Mapping[str, Sequence[Boxes]] = field(default_factory=dict[str, Sequence[Boxes]])
    """One-pass runs: [T, 4] xywh per repetition."""
    runs: Mapping[str, Mapping[int, Regions]] = field(default_factory=dict[str, Mapping[int, Regions]])
    """VOT runs: by repetition from 1 (reset-based) or by anchor frame (anchor-based)."""
    seconds: Mapping[str, Sequence[NDArray[np.float64]]] = field(
        default_factory=dict[str, Sequence[NDArray[np.float64]]]
    )
    """[T] per repetition, where times were kept."""
    extra: tuple[str, ...] = ()
    """Files that belong to no sequence of the benchmark."""

    def has(self, sequence: str) -> bool:
        """Whether there is any run of it."""
        return bool(self.boxes.get(sequence) or self.runs.get(sequence))


@dataclass(frozen=True)
class Curve:
    """One plot's line: y over x, both [N]."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    rows: NDArray[np.float64] | None = None
    """[S, N] of each sequence, where y is their mean."""
    weights: NDArray[np.float64] | None = None
    """[S] what each row counts in it; None: all the same."""


@dataclass(frozen=True)
class Scores:
    """One rule's numbers over a benchmark."""

    rule: str
    headline: str
    """The metric that this benchmark ranks by."""
    metrics: Mapping[str, float]
    """Over all sequences. AUC, P20, NP20, AO, SR, OP in percent; VOT's EAO, A, R as published, 0 to 1."""
    per_sequence: Mapping[str, Mapping[str, float]]
    curves: Mapping[str, Curve]
    """`success`, `precision`, `norm_precision` in percent, `eao` 0 to 1."""
    counted: Mapping[str, int]
    """What the rule had to repair or leave out, and how often; nothing that changes a number is left unsaid."""
    parts: Mapping[str, Parts]
    """Numbers taken apart by sequence, in the order of `per_sequence`, for intervals and attributes."""


@dataclass(frozen=True)
class Rule:
    """A named way to score a benchmark."""

    name: str
    describe: str
    """What it does with invalid truth, invalid predictions, other lengths, the first frame; what is published by it."""
    score: Callable[[Sequence[Truth], Results, "Counted"], Scores]
    headline: str
    aliases: tuple[str, ...] = ()
    missing_is_zero: bool = False
    """A sequence without result scores 0 instead of being an error."""


class Counted(Counter[str]):
    """How often a rule met what its description speaks of."""
