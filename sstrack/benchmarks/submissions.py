"""Zips as the servers of GOT-10k and TrackingNet take them, checked before a byte is written."""

import io
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.layouts.got10k import TEST
from sstrack.benchmarks.scores import Results

Floats = NDArray[np.float64]

KINDS = ("got10k", "trackingnet")
TRACKINGNET_CLIPS = 511
MAX_REPETITIONS = 3
_SHOWN = 8


def got10k_zip(results: Results, lengths: Mapping[str, int] | None = None) -> bytes:
    """180 folders at the root, each with `<clip>_001.txt` (x,y,w,h per frame, the first too) and `<clip>_time.txt`.

    Args:
        results: boxes and seconds of every test clip; up to three repetitions.
        lengths: frames of each clip, where they are known.

    Raises ValueError that lists what is missing or wrong.
    """
    problems = _problems(results, TEST, lengths)
    for name in TEST:
        boxes, seconds = results.boxes.get(name, ()), results.seconds.get(name, ())
        if not boxes:
            continue
        if len(boxes) > MAX_REPETITIONS:
            problems.append(f"{name}: {len(boxes)} repetitions, at most {MAX_REPETITIONS} are taken")
        if len(seconds) < len(boxes):
            problems.append(f"{name}: no times for every repetition; the server wants {name}_time.txt")
        for run, time in zip(boxes, seconds, strict=False):
            if len(run) != len(time):
                problems.append(f"{name}: {len(time)} times for {len(run)} boxes")
            elif not np.isfinite(time).all() or (time < 0).any():
                problems.append(f"{name}: times have to be finite and at least 0")
    _refuse(problems, "GOT-10k")
    members: dict[str, bytes] = {}
    for name in TEST:
        runs = results.boxes[name]
        for number, run in enumerate(runs, start=1):
            members[f"{name}/{name}_{number:03d}.txt"] = _lines(run, 4)
        members[f"{name}/{name}_time.txt"] = _lines(np.stack(results.seconds[name][: len(runs)], axis=1), 8)
    return _zip(members)


def trackingnet_zip(results: Results, lengths: Mapping[str, int] | None = None) -> bytes:
    """511 flat `<id>.txt`, x,y,w,h per frame, the first included.

    The server pairs files with clips by substring, so no name may contain another. Arguments and errors as for
    `got10k_zip`; the ids are those of `lengths`, or of the results where that is None.
    """
    names = sorted(lengths if lengths is not None else results.boxes)
    problems = _problems(results, names, lengths)
    if len(names) != TRACKINGNET_CLIPS:
        problems.insert(0, f"{len(names)} clips; the test set has {TRACKINGNET_CLIPS}")
    files = [f"{name}.txt" for name in names]
    joined = "\n".join(files)
    problems += [f"{name} is part of another clip's name, which the server cannot tell apart"
                 for name in files if joined.count(name) > 1]  # fmt: skip
    problems += [f"{name}: one run only is taken" for name in names if len(results.boxes.get(name, ())) > 1]
    _refuse(problems, "TrackingNet")
    return _zip({f"{name}.txt": _lines(results.boxes[name][0], 2) for name in names})


def _problems(results: Results, names: Sequence[str], lengths: Mapping[str, int] | None) -> list[str]:
    problems = [f"{name}: no result" for name in names if not results.boxes.get(name)]
    for name in names:
        for run in results.boxes.get(name, ()):
            bad = ~np.isfinite(run).all(axis=1) | (run[:, 2:] <= 0).any(axis=1)
            if not len(run):
                problems.append(f"{name}: no rows")
            elif bad.any():
                row = int(np.argmax(bad))
                problems.append(
                    f"{name} row {row + 1}: {run[row].tolist()} is no box of finite numbers and positive size"
                )
            if lengths is not None and name in lengths and len(run) != lengths[name]:
                problems.append(f"{name}: {len(run)} rows for {lengths[name]} frames")
    return problems


def _refuse(problems: list[str], what: str) -> None:
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ValueError(f"no {what} submission was written: {'; '.join(problems[:_SHOWN])}{more}")


def _lines(rows: Floats, decimals: int) -> bytes:
    return "".join(",".join(f"{value:.{decimals}f}" for value in row) + "\n" for row in rows).encode()


def _zip(members: Mapping[str, bytes]) -> bytes:
    """The same members give the same bytes: fixed dates, sorted names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), members[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
