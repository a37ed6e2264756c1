"""How a layout's files are read: strictly, as a benchmark has to be, or by whatever way an import has with damage.

A layout says which files hold what; a `Reading` says what becomes of a line that is no box and of a missing frame.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.layouts.frames import by_number, images
from sstrack.benchmarks.regions import Regions, parse_regions
from sstrack.benchmarks.text import flags, number_line, number_table

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Labels:
    """What a layout's files say of T frames of one target, nothing shifted, nothing repaired."""

    boxes: Floats
    """[T, 4] xywh in the files' own coordinates."""
    origin: float
    """Coordinate of the first pixel in them."""
    fps: float
    """Frames a second that the set was labelled at."""
    absent: Bools | None = None
    """[T] the target is out of view or fully hidden by the set's flags; None where it has none."""
    covered: Bools | None = None
    """[T] nothing of the target can be seen by a measure of its own (GOT-10k); None where there is none."""
    size: tuple[int, int] | None = None
    """Width and height of the images, where the files state them."""
    regions: Regions | None = None
    """What `boxes` are the bounds of (VOT)."""


class Reading(ABC):
    """Files of labels and folders of frames."""

    @abstractmethod
    def boxes(self, path: Path, columns: tuple[int, ...] = (4,)) -> Floats:
        """[T, 4] boxes of a table, xywh, or the bounds of polygons where `columns` allows more than four numbers."""

    @abstractmethod
    def regions(self, path: Path) -> tuple[Floats, Regions | None]:
        """[T, 4] bounds of the regions in a file of VOT's, and the regions where all of them can be read."""

    @abstractmethod
    def numbers(self, path: Path, count: int) -> Floats | None:
        """[count] numbers of a file, one for each row of boxes; None where it need not be there."""

    @abstractmethod
    def flags(self, path: Path, count: int) -> Bools:
        """[count] flags of a file, one for each row of boxes."""

    @abstractmethod
    def frames(self, folder: Path, first: int | None, count: int | None = None) -> tuple[Path | None, ...]:
        """Images of a folder, from number `first` on, or in natural order where that is None.

        `count` is the number of labels where each has an image. None stands for an image that is missing.
        """


class Strict(Reading):
    """What is wrong is a ValueError that names the file and what is expected in it."""

    def boxes(self, path: Path, columns: tuple[int, ...] = (4,)) -> Floats:
        table = number_table(read_bytes(path), str(path), columns)
        return table if table.shape[1] == 4 else bounds(table)

    def regions(self, path: Path) -> tuple[Floats, Regions]:
        regions = parse_regions(read_bytes(path), str(path))
        if not len(regions):
            raise ValueError(f"{path} is empty: expected one region per frame")
        return regions.boxes, regions

    def numbers(self, path: Path, count: int) -> Floats:
        values = number_line(read_bytes(path), str(path))
        if len(values) != count:
            raise ValueError(f"{path} has {len(values)} values for {count} rows of ground truth")
        return values

    def flags(self, path: Path, count: int) -> Bools:
        values = flags(read_bytes(path), str(path))
        if len(values) < count:
            raise ValueError(f"{path} has {len(values)} flags for {count} rows of ground truth")
        return values[:count]

    def frames(self, folder: Path, first: int | None, count: int | None = None) -> tuple[Path, ...]:
        found = images(folder)
        if first is not None and count is not None:
            return _numbered(found, folder, first, count)
        if not found or len(found) < (count or 0):
            raise ValueError(
                f"{folder} has {len(found)} images for {count or 1} rows of ground truth; one per row is needed"
            )
        return found[:count]


STRICT = Strict()


def read_bytes(path: Path) -> bytes:
    """The file's bytes; ValueError that names it if it is missing or unreadable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error


def bounds(polygons: Floats) -> Floats:
    """[T, 4] xywh around polygons [T, 2K] of corners x, y."""
    corners = polygons.reshape(len(polygons), -1, 2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate((low, high - low), axis=1)


def _numbered(found: tuple[Path, ...], folder: Path, first: int, count: int) -> tuple[Path, ...]:
    numbered = by_number(found)
    if not numbered:
        raise ValueError(f"no images in {folder}: expected numbered files from {first} on")
    missing = [number for number in range(first, first + count) if number not in numbered]
    if missing:
        raise ValueError(
            f"{folder} has no image for frame {missing[0]}; of frames {first} to {first + count - 1} "
            f"{len(missing)} are missing"
        )
    return tuple(numbered[number] for number in range(first, first + count))
