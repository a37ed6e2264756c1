"""The raw result store: what a tracker answered, one file per sequence, kept apart from every score.

`<out>/<tracker digest>/<benchmark>@<version>/one_pass/<sequence>.txt`, one `x,y,w,h` line per frame, floats, counted
from the benchmark's own first pixel (0 or 1), so that any toolkit reads it; beside it `<sequence>.times.txt`, seconds
per frame. A file is there whole or not at all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from sstrack.benchmarks.registry import Benchmark

Floats = NDArray[np.float64]
PROTOCOL = "one_pass"


@dataclass(frozen=True)
class ResultStore:
    """Raw results of one tracker on one benchmark."""

    folder: str
    """Local path or s3:// prefix."""

    @classmethod
    def of(cls, out: str, tracker_digest: str, entry: Benchmark) -> "ResultStore":
        """The place for this tracker and this version of the benchmark under `out`."""
        return cls(storage.join(out, tracker_digest, f"{entry.name}@{entry.version}", PROTOCOL))

    def has(self, sequence: str, frames: int) -> bool:
        """Whether a result of that many frames is there; one of another length belongs to other frames."""
        uri = self._boxes_uri(sequence)
        return storage.exists(uri) and len(_read(uri, 4)) == frames

    def write(self, sequence: str, boxes: Floats, seconds: Floats) -> None:
        """Keep [T, 4] boxes and [T] seconds. Times first: the boxes' presence says that the sequence is done."""
        storage.write_atomic(self._times_uri(sequence), "".join(f"{value:.6f}\n" for value in seconds).encode())
        lines = (",".join(f"{value:.4f}" for value in row) + "\n" for row in boxes)
        storage.write_atomic(self._boxes_uri(sequence), "".join(lines).encode())

    def boxes(self, sequence: str) -> Floats:
        """[T, 4] predicted boxes, xywh in pixels, in the benchmark's own coordinates."""
        return _read(self._boxes_uri(sequence), 4)

    def seconds(self, sequence: str) -> Floats:
        """[T] seconds spent on each frame, reading it included."""
        return _read(self._times_uri(sequence), 1)[:, 0]

    def _boxes_uri(self, sequence: str) -> str:
        return storage.join(self.folder, f"{sequence}.txt")

    def _times_uri(self, sequence: str) -> str:
        return storage.join(self.folder, f"{sequence}.times.txt")


def _read(uri: str, columns: int) -> Floats:
    lines = storage.read_bytes(uri).decode().split()
    return np.array([[float(word) for word in line.split(",")] for line in lines], dtype=np.float64).reshape(
        -1, columns
    )
