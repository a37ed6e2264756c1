"""What a layout of labelled sequences is to those who look for some below any folder: ingest's labelled import.

A benchmark knows its root and its names; here they are recognised by the names of files alone, as in a bucket nothing
is read before it is wanted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sstrack.benchmarks.layouts.reading import Labels, Reading

Member = tuple[Path, str]
"""The folder a sequence is read from, and its name inside that where the folder holds several."""


def itself(folder: Path) -> Iterator[Member]:
    """The only member of a folder that is a sequence."""
    yield folder, ""


def whole(folder: Path, name: str) -> tuple[Path, ...]:
    """All of the folder."""
    return (folder,)


@dataclass(frozen=True)
class Layout:
    """One family of labelled sets, training and test splits alike."""

    name: str
    describe: str
    """What it looks like, in words for the command line."""
    finds: Callable[[Path, frozenset[str]], bool]
    """Whether a folder is a sequence, or holds a split, by the names in it."""
    labels: Callable[[Path, str, Reading], Labels]
    """Labels of a member."""
    frames: Callable[[Path, str, Reading, int], tuple[Path | None, ...]]
    """Images of a member that has so many labels."""
    withheld: Callable[[Path, str], str]
    """Why a member is one that trackers are scored on: which benchmark's list names it, in words; empty if none."""
    members: Callable[[Path], Iterator[Member]] = itself
    """Sequences of a folder that was found."""
    places: Callable[[Path, str], tuple[Path, ...]] = whole
    """Files and folders that a member is read from."""


def listed(benchmark: str, name: str) -> str:
    """The words for a sequence whose name is on a benchmark's list."""
    return f"{name} is on the test list of benchmark {benchmark}"
