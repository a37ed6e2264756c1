"""Benchmarks by name. A new one is one module that calls `register`, listed in `_MODULES`."""

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.sequence import Sequence

Boxes = NDArray[np.float64]

_MODULES = ("sstrack.benchmarks.folder",)


@dataclass(frozen=True)
class SequenceScore:
    """Scores of one sequence, in percent."""

    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Rule:
    """A named way to score one sequence; a benchmark's number is the mean over its sequences."""

    name: str
    describe: str
    score: Callable[[Boxes, Sequence], SequenceScore]
    """(predicted boxes [T, 4] xywh, sequence) -> scores."""


@dataclass(frozen=True)
class Benchmark:
    """A set of sequences in a known layout, and the rules it may be scored by (the first is the default)."""

    name: str
    version: str
    """Raised when the meaning of its sequences changes, so that older raw results are not found again."""
    describe: str
    layout: str
    """What a root folder looks like, in words for the command line."""
    read: Callable[[Path], list[Sequence]]
    rules: tuple[Rule, ...]


_benchmarks: dict[str, Benchmark] = {}


def register(entry: Benchmark) -> Benchmark:
    """Add `entry` under its name; a name taken by another entry raises ValueError."""
    if _benchmarks.get(entry.name, entry) is not entry:
        raise ValueError(f"benchmark {entry.name!r} is registered twice")
    _benchmarks[entry.name] = entry
    return entry


def benchmark(name: str) -> Benchmark:
    """The benchmark called `name`; an unknown name raises ValueError that lists near matches and all names."""
    _load()
    if name not in _benchmarks:
        near = difflib.get_close_matches(name, _benchmarks, n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise ValueError(f"unknown benchmark {name!r}: {hint}known are {', '.join(benchmark_names())}")
    return _benchmarks[name]


def benchmark_names() -> tuple[str, ...]:
    """Names of all benchmarks, sorted."""
    _load()
    return tuple(sorted(_benchmarks))


def _load() -> None:
    for module in _MODULES:
        importlib.import_module(module)
