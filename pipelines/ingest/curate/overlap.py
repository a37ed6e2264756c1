"""Benchmark sequences as hashes, so that no clip of theirs is trained on: made once per root, kept in a cache.

Any folder that holds enough pictures is a sequence, and so is any video: layouts need not be known.
"""

import hashlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.dataset.manifest import digest_of
from pipelines.errors import SSTrackError
from pipelines.frames import images, read_clip
from pipelines.ingest.find.sources import VIDEO_EXTENSIONS
from sstrack.clips.hashing import Hashes, distance, look, middle_look, mirrored, picture_look

log = logging.getLogger(__name__)

_VERSION = 1
"""Raised when the meaning of the hashes changes."""
_EVERY = 3
"""Of a sequence's frames, every third is looked at."""
_TOGETHER = 3
"""Looks are of the mean of so many of them, as clips' hashes are of means over time."""
_FEWEST = 5
"""Pictures that make a folder a sequence."""
_BITS = 66
"""Bits of a look (256) that may differ between a clip and a sequence."""
_IN_A_ROW = 3
"""Hashes of a clip in a row, 1.8 s, that have to show the sequence in its order; half of those of a shorter clip."""
_INNER = {"img", "imgs", "images", "color", "frames"}


@dataclass(frozen=True)
class Benchmarks:
    """Names of sequences, and for each uint8 [n, 64]: the looks of its pictures and of their middles."""

    names: tuple[str, ...]
    looks: tuple[NDArray[np.uint8], ...]

    def shown_in(self, clip: Hashes) -> str | None:
        """Name of the sequence that the clip shows a part of, or shows flipped; None where there is none."""
        if len(clip) == 0 or not self.names:
            return None
        for hashes in (clip, mirrored(clip)):
            for number in self._likely(hashes):
                if _shows(hashes, self.looks[number]):
                    return self.names[number]
        return None

    @cached_property
    def _bands(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All bands of all looks, sorted, and the sequence that each belongs to."""
        keys = [_bands_of(looks) for looks in self.looks]
        owners = np.repeat(np.arange(len(keys)), [len(bands) for bands in keys])
        both = np.unique(np.stack([np.concatenate(keys), owners], axis=1), axis=0)
        return both[:, 0], both[:, 1]

    def _likely(self, clip: Hashes) -> list[int]:
        """Sequences that share a band with the clip."""
        keys, owners = self._bands
        wanted = np.unique(_bands_of(clip[:, :64]))
        first, end = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")
        found = [owners[start:stop] for start, stop in zip(first, end, strict=True)]
        return sorted(set(np.concatenate(found).tolist())) if found else []


def _bands_of(looks: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The four 16-bit bands of each look and middle, each told apart by its place; blank pictures have none."""
    halves = np.concatenate([looks[:, :32], looks[:, 32:64]])
    bands = np.ascontiguousarray(halves[halves.any(axis=1), :8]).view("<u2").astype(np.int64)
    return (bands + (np.arange(4) << 16)).ravel()


def _shows(clip: Hashes, looks: NDArray[np.uint8]) -> bool:
    whole, middle = looks[:, :32], looks[:, 32:]
    pairs = ((look(clip), whole), (look(clip), middle), (middle_look(clip), whole))
    blank = ~look(clip).any(axis=1)
    needed = min(_IN_A_ROW, max(2, len(clip) // 2))
    for one, other in pairs:
        apart = distance(one[:, None], other[None])
        apart[blank] = 256
        place = apart.argmin(axis=1)
        near = apart[np.arange(len(clip)), place] <= _BITS
        row = 0
        for number in range(len(clip)):
            follows = number > 0 and row > 0 and place[number] >= place[number - 1] - _TOGETHER
            row = (row + 1 if follows else 1) if near[number] else 0
            if row >= needed:
                return True
    return False


def load_benchmarks(roots: Sequence[str], cache: Path) -> Benchmarks:
    """Hash all sequences under the folders `roots`, or find the hashes in the folder `cache`.

    Sequences are named by their place below their root. Raises SSTrackError for a root that is no folder or holds none.
    """
    names: list[str] = []
    looks: list[NDArray[np.uint8]] = []
    for root in roots:
        folder = storage.local_path(root)
        if not folder.is_dir():
            raise SSTrackError(f"no folder {root}: name the root of a benchmark, which holds its sequences")
        found = sorted(_sequences(folder))
        if not found:
            raise SSTrackError(
                f"no sequence under {root}: neither a folder of {_FEWEST} pictures nor a video; check it"
            )
        for name, place in found:
            names.append(f"{folder.name}/{name}" if name else folder.name)
            looks.append(_find_or_hash(place, cache))
        log.info("benchmark %s: %d sequences to keep out", root, len(found))
    return Benchmarks(tuple(names), tuple(looks))


def _sequences(root: Path) -> Iterator[tuple[str, Path]]:
    for folder in [root, *sorted(path for path in root.rglob("*") if path.is_dir())]:
        if len(images(folder)) >= _FEWEST:
            inner = folder.name.lower() in _INNER and folder != root
            place = (folder.parent if inner else folder).relative_to(root).as_posix()
            yield "" if place == "." else place, folder
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in VIDEO_EXTENSIONS and path.is_file():
                yield path.relative_to(root).as_posix(), path


def _find_or_hash(place: Path, cache: Path) -> NDArray[np.uint8]:
    """The looks of one sequence, uint8 [n, 64]. Its cache entry is named by its files' names, sizes and times."""
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    marks = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.is_file()]
    key = digest_of({"version": _VERSION, "place": hashlib.sha256(bytes(place)).hexdigest(), "files": marks})
    entry = cache / f"{key}.npy"
    if entry.exists():
        return np.load(io.BytesIO(storage.read_bytes(str(entry))), allow_pickle=False)
    try:
        looks = _hash(place)
    except ValueError as error:
        raise SSTrackError(
            f"the benchmark's sequence {place} cannot be read ({error}); repair or leave it out"
        ) from error
    data = io.BytesIO()
    np.save(data, looks, allow_pickle=False)
    storage.write_atomic(str(entry), data.getvalue())
    return looks


def _hash(place: Path) -> NDArray[np.uint8]:
    tiny = []
    for number, picture in enumerate(read_clip(place)):
        if number % _EVERY == 0:
            gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
            tiny.append(np.asarray(cv2.resize(gray, (48, 27), interpolation=cv2.INTER_AREA), dtype=np.float32))
    frames = np.stack(tiny)
    span = min(_TOGETHER, len(frames))
    means = np.lib.stride_tricks.sliding_window_view(frames, span, axis=0).mean(axis=-1)
    return np.concatenate([picture_look(means), picture_look(means, middle=True)], axis=1)
