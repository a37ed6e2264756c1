"""Benchmarks by name. A new one is one module that calls `register`, listed in `_MODULES`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sstrack.benchmarks.headers import read_header
from sstrack.benchmarks.scores import Rule
from sstrack.benchmarks.sequence import Sequence, Truth
from sstrack.benchmarks.sizes import contradiction
from sstrack.registry import Registry

Protocol = Literal["one_pass", "vot_reset", "vot_anchor"]

_MODULES = tuple(
    f"sstrack.benchmarks.layouts.{name}"
    for name in ("folder", "otb", "lasot", "got10k", "trackingnet", "tnl2k", "uav", "vot", "nfs", "tlp")
)


@dataclass(frozen=True)
class Clip:
    """One target found under a root. Nothing is read until asked for."""

    name: str
    truth: Callable[[], Truth]
    """Its annotation; ValueError names the file that is wrong and what is expected there."""
    frames: Callable[[Truth], tuple[Path, ...]] | None
    """Its image files, T of them (all of the clip where the truth is one box); None where only annotation is there."""

    def sequence(self) -> Sequence | None:
        """The clip with its frames, None where they are not there.

        ValueError names the file that is wrong, or says that the images have another size than the annotation is for.
        """
        if self.frames is None:
            return None
        truth = self.truth()
        sequence = Sequence.of(truth, self.frames(truth))
        boxes = np.where(sequence.visible[:, None], sequence.boxes, np.nan)
        try:
            header = read_header(sequence.frames[0])
        except (OSError, ValueError):
            return sequence  # whoever tracks it will say so, of this sequence alone
        wrong = contradiction(header, boxes, truth.size)
        if wrong:
            raise ValueError(f"{sequence.frames[0].parent}, sequence {self.name!r}: {wrong}")
        return sequence


@dataclass(frozen=True)
class Benchmark:
    """A set of sequences in a known layout, and the rules it may be scored by (the first is the default)."""

    name: str
    version: str
    """Raised when the meaning of its sequences changes, so that older raw results are not found again."""
    describe: str
    layout: str
    """What a root folder looks like, in words for the command line."""
    find: Callable[[Path], list[Clip]]
    """Clips under a root in any of the layouts; ValueError where none of them is there."""
    rules: tuple[Rule, ...]
    """Empty where the truth is kept on a server."""
    official: tuple[str, ...] = ()
    """Names of the published test set, empty where it is not fixed."""
    expected: int = 0
    """How many sequences the published set has; 0 where it is not fixed."""
    protocol: Protocol = "one_pass"
    repetitions: int = 1
    """Runs the protocol asks of a tracker that draws random numbers."""

    def truths(self, root: Path) -> list[Truth]:
        """Annotation of all clips, sorted by name."""
        return [clip.truth() for clip in self.find(root)]

    def read(self, root: Path) -> list[Sequence]:
        """All clips with their frames. ValueError names the folder or the line that is wrong."""
        sequences: list[Sequence] = []
        for clip in self.find(root):
            sequence = clip.sequence()
            if sequence is None:
                raise ValueError(f"{root} holds ground truth without images; tracking needs the benchmark's frames")
            sequences.append(sequence)
        return sequences

    def rule(self, name: str | None) -> Rule:
        """The rule called `name`, the default for None. ValueError lists what there is."""
        if not self.rules:
            raise ValueError(f"benchmark {self.name} cannot be scored here: its ground truth is kept on a server")
        if name is None:
            return self.rules[0]
        for rule in self.rules:
            if name == rule.name or name in rule.aliases:
                return rule
        raise ValueError(f"benchmark {self.name} has no rule {name!r}; it has {', '.join(r.name for r in self.rules)}")


_benchmarks = Registry[Benchmark]("benchmark", _MODULES)


def register(entry: Benchmark) -> Benchmark:
    """Add `entry` under its name; a name taken by another entry raises ValueError."""
    return _benchmarks.add(entry.name, entry)


def benchmark(name: str) -> Benchmark:
    """The benchmark called `name`; an unknown name raises ValueError that lists near matches or all names."""
    return _benchmarks[name]


def benchmark_names() -> tuple[str, ...]:
    """Names of all benchmarks, sorted."""
    return _benchmarks.names()
