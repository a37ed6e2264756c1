"""Official lists of test sequences, one text file each: names and numbers as the benchmarks publish them."""

from functools import cache
from importlib.resources import files


@cache
def split_rows(name: str) -> tuple[tuple[str, ...], ...]:
    """The words of each line of `<name>.txt`, comments left out."""
    text = files("sstrack.benchmarks.splits").joinpath(f"{name}.txt").read_text(encoding="utf-8")
    return tuple(tuple(line.split()) for line in text.splitlines() if line and not line.startswith("#"))


def split_names(name: str) -> tuple[str, ...]:
    """The first word of each line."""
    return tuple(row[0] for row in split_rows(name))
