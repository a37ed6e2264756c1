"""What a folder holds of a benchmark: sequences found, missing, and files that are wrong."""

from dataclasses import dataclass
from pathlib import Path

from sstrack.benchmarks.registry import Benchmark


@dataclass(frozen=True)
class Survey:
    """One benchmark under one root."""

    found: tuple[str, ...]
    """Sequences whose annotation and, where there are any, frames are as expected."""
    missing: tuple[str, ...]
    """Names of the published set that are not there."""
    wrong: tuple[str, ...]
    """One sentence per sequence that is there but broken: the file, and what is expected in it."""
    with_frames: int
    """How many of the found ones have images, so that a tracker can run on them."""


def survey(entry: Benchmark, root: Path) -> Survey:
    """Look at every sequence of `entry` under `root`. Where the layout itself is not there, that is what is wrong."""
    try:
        clips = entry.find(root)
    except ValueError as error:
        return Survey((), entry.official, (str(error),), 0)
    found: list[str] = []
    wrong: list[str] = []
    with_frames = 0
    for clip in clips:
        try:
            if clip.frames is None:
                clip.truth()
            else:
                clip.sequence()
                with_frames += 1
        except ValueError as error:
            wrong.append(str(error))
        else:
            found.append(clip.name)
    names = {clip.name for clip in clips}
    missing = tuple(name for name in entry.official if name not in names)
    return Survey(tuple(found), missing, tuple(wrong), with_frames)
