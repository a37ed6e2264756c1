"""What a protocol asks of a tracker, and what a run leaves behind."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.regions import Regions

Frame = NDArray[np.uint8]
Load = Callable[[Path], Frame]
"""Image file -> [H, W, 3] uint8 RGB."""
Clock = Callable[[], float]
clock: Clock = time.perf_counter


class Answer(Protocol):
    """What a tracker says about one frame."""

    @property
    def box(self) -> tuple[float, float, float, float]: ...


class Runner(Protocol):
    """A tracker: all it remembers is in the state, so that runs cannot touch each other."""

    def start(self, frame: Frame, box: Any, /) -> Any: ...

    def step(self, state: Any, frame: Frame, /) -> tuple[Any, Answer]: ...


@dataclass(frozen=True)
class BoxRun:
    """A run that is never stopped."""

    boxes: NDArray[np.float64]
    """[T, 4] xywh, 0-based; the first is the given box."""
    seconds: NDArray[np.float64]
    """[T] per frame, reading it included."""


@dataclass(frozen=True)
class RegionRun:
    """A run in VOT's form."""

    regions: Regions
    """[T] boxes, and codes where there is none."""
    seconds: NDArray[np.float64]
    """[T] per frame; 0 where nothing was tracked."""
