"""What a benchmark's sequences hold, as digests: results belong to frames and truth, not to names.

Hashing every frame is cheap beside tracking it, but not beside finding that nothing is to be done. So digests of frames
are kept with the files' sizes, times and inodes, and taken from there while those stay as they are.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipelines import storage
from pipelines.settings import settings
from sstrack.benchmarks.registry import Benchmark
from sstrack.benchmarks.sequence import Sequence, Truth

log = logging.getLogger(__name__)

STAGE_VERSION = 1
"""Raised when the meaning of the digests changes."""
UNREADABLE = "unreadable"
"""In place of the digest of frames that cannot be read."""
_SETTLED_S = 2.0
"""A file written less long ago may change again within the resolution of its time, so its digest is not kept."""
_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Content:
    """One sequence, as hex digests."""

    frames: str
    """Of its frames alone. `UNREADABLE` where one is missing."""
    tracked: str
    """Of all that a tracker is shown: frames, the first box, and what its protocol restarts it on; or `UNREADABLE`."""
    truth: str
    """Of the whole annotation: what the answers are scored against."""
    stamp: str = ""
    """See `stamp`, taken before the frames were hashed."""


def contents(entry: Benchmark, root: Path, sequences: Iterable[Sequence]) -> dict[str, Content]:
    """The content of each sequence by name; frames that have not changed since they were hashed are not read."""
    place = str(_memory(entry, root))
    known = _read_memory(place)
    with ThreadPoolExecutor(_THREADS) as pool:
        hashed = dict(zip((s.name for s in sequences), pool.map(lambda s: _frames(s, known), sequences), strict=True))
    kept = {name: frames for name, frames in hashed.items() if frames.settled}
    if any(known.get(name) != frames for name, frames in kept.items()):
        rows = {name: asdict(frames) for name, frames in (known | kept).items()}
        storage.write_atomic(place, json.dumps({"version": STAGE_VERSION, "frames": rows}).encode())
    return {s.name: _content(entry, s, hashed[s.name]) for s in sequences}


def stamp(frames: Iterable[Path]) -> str:
    """Digest of the files' sizes, times and inodes: it changes when one of them is written or replaced.

    A folder that takes another's name leaves sizes and times as they were, but not the inodes. Raises OSError where one
    is missing.
    """
    return _stamp([path.stat() for path in frames])


def key_of(parts: Mapping[str, Content]) -> str:
    """16 hex digits over all sequences of a set and what they hold."""
    rows = [[name, part.tracked, part.truth] for name, part in sorted(parts.items())]
    return _digest(json.dumps([STAGE_VERSION, rows]).encode())[:16]


def annotation(truths: Iterable[Truth]) -> str:
    """16 hex digits over what is marked of each sequence: numbers of two trackers can be compared where it is equal.
    The same with and without frames at hand."""
    rows = [[truth.name, truth.origin, _marked(truth).hexdigest()] for truth in sorted(truths, key=lambda t: t.name)]
    return _digest(json.dumps(rows).encode())[:16]


def both(own: str, other: str) -> str:
    """The digest of a sequence that is started with another one's template."""
    return UNREADABLE if UNREADABLE in (own, other) else _digest(f"{own} {other}".encode())


@dataclass(frozen=True)
class _Frames:
    stat: str
    digest: str
    settled: bool = True


def _frames(sequence: Sequence, known: Mapping[str, _Frames]) -> _Frames:
    try:
        status = [path.stat() for path in sequence.frames]
        stat = _stamp(status)
        if (before := known.get(sequence.name)) is not None and before.stat == stat:
            return before
        whole = hashlib.sha256()
        for path in sequence.frames:
            whole.update(hashlib.sha256(path.read_bytes()).digest())
    except OSError as error:
        log.warning("%s: %s cannot be read (%s)", sequence.name, error.filename, error.strerror)
        return _Frames("", UNREADABLE, settled=False)
    newest = max(max(s.st_mtime, s.st_ctime) for s in status)
    return _Frames(stat, whole.hexdigest(), settled=newest < time.time() - _SETTLED_S)


def _stamp(status: list[os.stat_result]) -> str:
    rows = [(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for s in status]
    return _digest(np.array(rows, dtype=np.int64).tobytes())


def _content(entry: Benchmark, sequence: Sequence, held: _Frames) -> Content:
    frames = held.digest
    shown = sequence.first_box.tobytes() if entry.protocol == "one_pass" else _truth(sequence.truth).encode()
    tracked = UNREADABLE if frames == UNREADABLE else _digest(f"{entry.protocol} {frames} ".encode() + shown)
    return Content(frames, tracked, _truth(sequence.truth), held.stat)


def _truth(truth: Truth) -> str:
    digest = _marked(truth)
    facts = (truth.name, truth.origin, truth.size, sorted(truth.tags), sorted(truth.attributes), truth.lead)
    digest.update(repr(facts).encode())
    return digest.hexdigest()


def _marked(truth: Truth) -> "hashlib._Hash":
    """Over boxes, absences, anchors, regions and tags of frames."""
    digest = hashlib.sha256()
    regions = truth.regions
    arrays = [truth.boxes, truth.absent, truth.anchors]
    arrays += [] if regions is None else [regions.kind, regions.values, regions.offsets]
    for values in (*arrays, *(truth.tags[name] for name in sorted(truth.tags))):
        digest.update(b"-" if values is None else f"{values.dtype}{values.shape}".encode() + values.tobytes())
    return digest


def _memory(entry: Benchmark, root: Path) -> Path:
    name = _digest(f"{entry.name} {root.resolve()}".encode())[:16]
    return settings().work / "content" / f"{entry.name}-{name}.json"


def _read_memory(place: str) -> dict[str, _Frames]:
    data = storage.read_if_exists(place)
    if data is None:
        return {}
    try:
        held = json.loads(data)
        if held["version"] != STAGE_VERSION:
            return {}
        return {str(name): _Frames(str(row["stat"]), str(row["digest"])) for name, row in held["frames"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s is damaged (%r): frames are hashed again", place, error)
        return {}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
