"""Raw results of a tracker as files: one folder or zip, in any layout that the field uses."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from sstrack.benchmarks.names import plain_name
from sstrack.benchmarks.regions import Regions, parse_regions
from sstrack.benchmarks.registry import Protocol
from sstrack.benchmarks.scores import Boxes, Results
from sstrack.benchmarks.sequence import Truth
from sstrack.benchmarks.text import number_table
from sstrack.benchmarks.tree import Tree, open_tree

_TIMES = re.compile(r"(.+?)(?:_times?|\.times)")
_BESIDE = re.compile(r".+_(?:confidence|confidence_value|score|scores|all_boxes|all_scores|object_presence_scores)")
_REPEATED = re.compile(r"(.+)_(\d{3})")
_RUN = re.compile(r"(.+)_(\d{3}|\d{8})")
_NEVER = {"time.value", "manifest.yml", ".DS_Store", "Thumbs.db"}


def read_results(where: Path, truths: Sequence[Truth], protocol: Protocol) -> Results:
    """All results under `where` that belong to sequences of `truths`.

    One pass: `<sequence>.txt`, or `<sequence>/<sequence>_001.txt` per repetition (GOT-10k), times in
    `<sequence>_time.txt` or `<sequence>.times.txt`. VOT: `<sequence>/<sequence>_001.txt` per repetition, or
    `<sequence>_00000050.txt` or `.bin` per anchor, below `baseline/` where there is such a folder.

    Raises ValueError for a file that cannot be read as that, or two files for one run.
    """
    return results_in(open_tree(where), truths, protocol)


def results_in(tree: Tree, truths: Sequence[Truth], protocol: Protocol) -> Results:
    """The same for an open tree."""
    owner = _owners(truths)
    return _one_pass(tree, owner) if protocol == "one_pass" else _runs(tree, owner)


def _owners(truths: Sequence[Truth]) -> dict[str, str]:
    """Every spelling of a sequence's name, exact ones first, to the sequence."""
    owner: dict[str, str] = {}
    clash: set[str] = set()
    for truth in truths:
        for spelling in (truth.name, *truth.aliases):
            key = plain_name(spelling)
            if owner.get(key, truth.name) != truth.name:
                clash.add(key)
            owner.setdefault(key, truth.name)
    for key in clash:
        del owner[key]
    # UAV123 has both car1_1 and car11: spelled exactly, a name or alias is never in doubt.
    exact = {alias: truth.name for truth in truths for alias in truth.aliases}
    return owner | exact | {truth.name: truth.name for truth in truths}


def _owner(owner: dict[str, str], stem: str) -> str | None:
    return owner.get(stem) or owner.get(plain_name(stem))


def _one_pass(tree: Tree, owner: dict[str, str]) -> Results:
    boxes: dict[str, dict[int, str]] = defaultdict(dict)
    times: dict[str, list[str]] = defaultdict(list)
    extra: list[str] = []
    for name in sorted(tree.names):
        path = PurePosixPath(name)
        if path.suffix.lower() not in (".txt", ".csv"):
            if path.name not in _NEVER and path.suffix.lower() not in (".json", ".yml", ".yaml", ".log", ".md"):
                extra.append(name)
            continue
        sequence, repetition = _owner(owner, path.stem), 1
        repeated = _REPEATED.fullmatch(path.stem)
        if sequence is None and repeated and path.parent.name == repeated[1]:
            sequence, repetition = _owner(owner, repeated[1]), int(repeated[2])
        if sequence is not None:
            if repetition in boxes[sequence]:
                raise ValueError(
                    f"{tree.where(boxes[sequence][repetition])} and {tree.where(name)} are both of {sequence!r}: "
                    "name the folder of one tracker"
                )
            boxes[sequence][repetition] = name
            continue
        timed = _TIMES.fullmatch(path.stem)
        sequence = (_owner(owner, timed[1]) or _owner(owner, re.sub(r"_\d{3}$", "", timed[1]))) if timed else None
        if sequence is not None:
            times[sequence].append(name)
        elif not (_BESIDE.fullmatch(path.stem) and _owner(owner, path.stem.split("_", 1)[0])):
            extra.append(name)
    return Results(
        boxes={s: [_boxes(tree, by_run[run]) for run in sorted(by_run)] for s, by_run in boxes.items()},
        seconds={s: [column for name in files for column in _times(tree, name)] for s, files in times.items()},
        extra=tuple(extra),
    )


def _boxes(tree: Tree, name: str) -> Boxes:
    table = number_table(tree.read(name), tree.where(name), (4, 8))
    if table.shape[1] == 4:
        return table
    corners = table.reshape(len(table), 4, 2)
    low = corners.min(axis=1)
    return np.concatenate((low, corners.max(axis=1) - low), axis=1)


def _times(tree: Tree, name: str) -> list[np.ndarray]:
    """One column per repetition."""
    table = number_table(tree.read(name), tree.where(name), tuple(range(1, 16)))
    return list(table.T)


def _runs(tree: Tree, owner: dict[str, str]) -> Results:
    names = sorted(tree.names)
    experiments = {part for name in names for part in PurePosixPath(name).parts[:-1]} & {"baseline", "realtime"}
    chosen = "baseline" if "baseline" in experiments else "realtime"
    baseline = [name for name in names if chosen in PurePosixPath(name).parts[:-1]]
    runs: dict[str, dict[int, Regions]] = defaultdict(dict)
    extra: list[str] = []
    for name in baseline or names:
        path = PurePosixPath(name)
        if path.suffix not in (".txt", ".bin"):
            if path.suffix != ".value" and path.name not in _NEVER:
                extra.append(name)
            continue
        found = _RUN.fullmatch(path.stem)
        sequence = _owner(owner, found[1]) if found else None
        if found is None or sequence is None:
            if not _TIMES.fullmatch(path.stem):
                extra.append(name)
            continue
        number = int(found[2])
        if number in runs[sequence]:
            raise ValueError(
                f"{tree.where(name)} is a second result of run {number} of {sequence!r}: name one tracker's folder"
            )
        runs[sequence][number] = parse_regions(tree.read(name), tree.where(name))
    return Results(runs=dict(runs), extra=tuple(extra))


def any_results(tree: Tree, names: Sequence[str] | None) -> Results:
    """One-pass results without ground truth: of the sequences `names`, or of all table files where None."""
    if names is None:
        stems = (PurePosixPath(name).stem for name in tree.names if name.endswith(".txt"))
        names = sorted(stem for stem in stems if not _TIMES.fullmatch(stem))
    return _one_pass(tree, {name: name for name in names})
