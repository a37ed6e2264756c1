"""The raw result store: what a tracker answered, one file per run, kept apart from every score.

`<out>/<tracker digest>/<benchmark>@<version>/<protocol>/`, in the layout that the field's toolkits read:

- one pass: `<sequence>.txt`, one `x,y,w,h` line per frame, floats, counted from the benchmark's own first pixel (0 or
  1); beside it `<sequence>.times.txt`, seconds per frame; further repetitions `<sequence>/<sequence>_002.txt`.
- VOT: `baseline/<sequence>/<sequence>_001.txt` per repetition or `_00000050.txt` per anchor (`realtime/` in simulated
  real time), beside it `_time.value`.

A file is there whole or not at all.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from sstrack.benchmarks.protocols.base import BoxRun, RegionRun
from sstrack.benchmarks.regions import format_regions, parse_regions
from sstrack.benchmarks.registry import Benchmark, Protocol
from sstrack.benchmarks.result_files import results_in
from sstrack.benchmarks.scores import Results
from sstrack.benchmarks.sequence import Sequence, Truth
from sstrack.benchmarks.text import number_line, number_table
from sstrack.benchmarks.tree import Tree

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ResultStore:
    """Raw results of one tracker on one benchmark."""

    folder: str
    """Local path or s3:// prefix."""
    protocol: Protocol = "one_pass"
    realtime: bool = False

    @classmethod
    def of(cls, out: str, tracker_digest: str, entry: Benchmark, realtime: float | None = None) -> "ResultStore":
        """The place for this tracker and this version of the benchmark under `out`."""
        way = entry.protocol if realtime is None else f"{entry.protocol}-{realtime:g}fps"
        folder = storage.join(out, tracker_digest, f"{entry.name}@{entry.version}", way)
        return cls(folder, entry.protocol, realtime is not None)

    def has(self, sequence: str, frames: int, number: int = 1) -> bool:
        """Whether a run of that many frames is there; one of another length belongs to other frames."""
        uri = self._uri(sequence, number)
        if not storage.exists(uri):
            return False
        data = storage.read_bytes(uri)
        try:
            held = number_table(data, uri, 4) if self.protocol == "one_pass" else parse_regions(data, uri)
        except ValueError as error:
            log.warning("%s: it is tracked again", error)
            return False
        return len(held) == frames

    def write(self, sequence: Sequence, number: int, run: BoxRun | RegionRun) -> None:
        """Keep one run. Times first: the presence of the answers says that the run is done."""
        uri = self._uri(sequence.name, number)
        times = "".join(f"{value:.6f}\n" for value in run.seconds).encode()
        storage.write_atomic(self._times_uri(sequence.name, number), times)
        if isinstance(run, RegionRun):
            storage.write_atomic(uri, format_regions(run.regions))
            return
        boxes = in_benchmark_coordinates(run.boxes, sequence)
        lines = (",".join(f"{value:.4f}" for value in row) + "\n" for row in boxes)
        storage.write_atomic(uri, "".join(lines).encode())

    def boxes(self, sequence: str) -> Floats:
        """[T, 4] predicted boxes of the first run, xywh in pixels, in the benchmark's own coordinates."""
        uri = self._uri(sequence, 1)
        data = storage.read_bytes(uri)
        return number_table(data, uri, 4) if self.protocol == "one_pass" else parse_regions(data, uri).boxes

    def raw(self, sequence: str, number: int) -> bytes:
        """The bytes of one run's answers."""
        return storage.read_bytes(self._uri(sequence, number))

    def seconds(self, sequence: str, number: int = 1) -> Floats:
        """[T] seconds spent on each frame, reading it included."""
        uri = self._times_uri(sequence, number)
        return number_line(storage.read_bytes(uri), uri)

    def results(self, truths: list[Truth]) -> Results:
        """All runs that are there, for scoring."""
        return results_in(_Stored(self.folder), truths, self.protocol)

    def _uri(self, sequence: str, number: int) -> str:
        if self.protocol == "one_pass":
            parts = (f"{sequence}.txt",) if number == 1 else (sequence, f"{sequence}_{number:03d}.txt")
            return storage.join(self.folder, *parts)
        return f"{self._stem(sequence, number)}.txt"

    def _times_uri(self, sequence: str, number: int) -> str:
        if self.protocol == "one_pass":
            parts = (f"{sequence}.times.txt",) if number == 1 else (sequence, f"{sequence}_{number:03d}.times.txt")
            return storage.join(self.folder, *parts)
        return f"{self._stem(sequence, number)}_time.value"

    def _stem(self, sequence: str, number: int) -> str:
        digits = 8 if self.protocol == "vot_anchor" else 3
        experiment = "realtime" if self.realtime else "baseline"
        return storage.join(self.folder, experiment, sequence, f"{sequence}_{number:0{digits}d}")


def in_benchmark_coordinates(boxes: Floats, sequence: Sequence) -> Floats:
    """0-based [T, 4] boxes as the benchmark's own files count pixels, so that any toolkit reads our raw results."""
    return boxes + np.array((sequence.truth.origin, sequence.truth.origin, 0, 0))


class _Stored(Tree):
    """A store's folder as a tree, local or s3."""

    def __init__(self, uri: str) -> None:
        self.root = Path(uri)
        self._uri = uri

    @cached_property
    def names(self) -> frozenset[str]:
        found = storage.list_files(self._uri)
        return frozenset(PurePosixPath(name[len(self._uri) :].lstrip("/")).as_posix() for name in found)

    def read(self, name: str) -> bytes:
        return storage.read_bytes(storage.join(self._uri, name))
