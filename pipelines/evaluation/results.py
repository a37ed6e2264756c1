"""The raw result store: what a tracker answered, one file per run, kept apart from every score.

`<out>/<tracker digest>/<benchmark>@<version>/<protocol>/<content>/`, where `<content>` is a digest of frames and truth,
so that results and scores of other data are never met. Inside, the layout that the field's toolkits read:

- one pass: `<sequence>.txt`, one `x,y,w,h` line per frame, floats, counted from the benchmark's own first pixel (0 or
  1); beside it `<sequence>.times.txt`, seconds per frame; further repetitions `<sequence>/<sequence>_002.txt`.
- VOT: `baseline/<sequence>/<sequence>_001.txt` per repetition or `_00000050.txt` per anchor (`realtime/` in simulated
  real time), beside it `_time.value`.

- `content.json`: the digests by sequence, and where the benchmark was. A sequence that a set of other content holds
  unchanged, as when more of a benchmark has arrived or its truth was corrected, is taken over instead of tracked.

A file is there whole or not at all.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.content import UNREADABLE, Content, key_of
from sstrack.benchmarks.protocols.base import BoxRun, RegionRun
from sstrack.benchmarks.regions import format_regions, parse_regions
from sstrack.benchmarks.registry import Benchmark, Protocol
from sstrack.benchmarks.result_files import results_in
from sstrack.benchmarks.scores import Results
from sstrack.benchmarks.sequence import Sequence, Truth
from sstrack.benchmarks.text import number_line, number_table
from sstrack.benchmarks.tree import Tree

log = logging.getLogger(__name__)

CONTENT = "content.json"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ResultStore:
    """Raw results of one tracker on one benchmark."""

    folder: str
    """Local path or s3:// prefix."""
    protocol: Protocol = "one_pass"
    realtime: bool = False

    @classmethod
    def of(
        cls,
        out: str,
        tracker_digest: str,
        entry: Benchmark,
        parts: Mapping[str, Content],
        realtime: float | None = None,
    ) -> "ResultStore":
        """The place for this tracker, this version of the benchmark and this content of it under `out`."""
        way = entry.protocol if realtime is None else f"{entry.protocol}-{realtime:g}fps"
        folder = storage.join(out, tracker_digest, f"{entry.name}@{entry.version}", way, key_of(parts))
        return cls(folder, entry.protocol, realtime is not None)

    def open(self, entry: Benchmark, root: Path, parts: Mapping[str, Content]) -> None:
        """Write down what this place is for and where the benchmark is now, after taking over what others of its kind
        hold of the same sequences."""
        place = storage.join(self.folder, CONTENT)
        if storage.exists(place):
            if read_content(self.folder)["root"] != str(root):
                self._note(entry, root, parts)
            return
        beside = self.folder.rpartition("/")[0]
        for other in storage.list_files(beside):
            if other.endswith(f"/{CONTENT}"):
                self._take_over(other.removesuffix(f"/{CONTENT}"), parts)
        self._note(entry, root, parts)

    def _note(self, entry: Benchmark, root: Path, parts: Mapping[str, Content]) -> None:
        rows = {n: {"frames": p.frames, "tracked": p.tracked, "truth": p.truth} for n, p in parts.items()}
        facts = {"benchmark": entry.name, "version": entry.version, "root": str(root), "sequences": rows}
        storage.write_atomic(storage.join(self.folder, CONTENT), json.dumps(facts, indent=1).encode())

    def _take_over(self, other: str, parts: Mapping[str, Content]) -> None:
        held = read_content(other)["sequences"]
        same = [
            n
            for n, part in parts.items()
            if part.tracked != UNREADABLE and held.get(n, {}).get("tracked") == part.tracked
        ]
        files = storage.list_files(other)
        for name in same:
            # Times first and answers last, as they were written.
            for uri in sorted((u for u in files if _sequence_of(u, name)), key=lambda u: "time" not in u):
                storage.write_atomic(storage.join(self.folder, uri[len(other) :]), storage.read_bytes(uri))
        if same:
            log.info("%d sequences are as they were in %s: their results are taken over", len(same), other)

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


def read_content(folder: str) -> dict[str, Any]:
    """What a folder of raw results is of: `benchmark`, `version`, `root`, `sequences`. SSTrackError if damaged."""
    place = storage.join(folder, CONTENT)
    try:
        facts = json.loads(storage.read_bytes(place))
        return {name: facts[name] for name in ("benchmark", "version", "root", "sequences")}
    except (ValueError, KeyError, TypeError) as error:
        raise SSTrackError(f"{place} is damaged ({error!r}): delete the folder {folder} and evaluate again") from error


def results_folder(path: Path) -> Path:
    """`path`, or the one folder of results by content that lies in it. UsageError where there are several."""
    if not path.is_dir() or (path / CONTENT).is_file():
        return path
    inside = sorted(path.glob(f"*/{CONTENT}"))
    if len(inside) > 1:
        names = ", ".join(found.parent.name for found in inside)
        raise UsageError(f"{path} holds results on several states of the benchmark: name one of {names}")
    return inside[0].parent if inside else path


def _sequence_of(uri: str, sequence: str) -> bool:
    """Whether a file of a store is one of a sequence's."""
    *folders, name = uri.split("/")
    return name in (f"{sequence}.txt", f"{sequence}.times.txt") or folders[-1] == sequence


class _Stored(Tree):
    """A store's folder as a tree, local or s3."""

    def __init__(self, uri: str) -> None:
        self.root = Path(uri)
        self._uri = uri

    @cached_property
    def names(self) -> frozenset[str]:
        found = storage.list_files(self._uri)
        names = (PurePosixPath(name[len(self._uri) :].lstrip("/")) for name in found)
        # A process that is killed leaves the draft of the file it was writing.
        return frozenset(name.as_posix() for name in names if not name.name.startswith("."))

    def read(self, name: str) -> bytes:
        return storage.read_bytes(storage.join(self._uri, name))
