"""Write raw results in the formats of other toolkits; `result_files` reads all of them back."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.regions import format_regions
from sstrack.benchmarks.scores import Results

Floats = NDArray[np.float64]
Files = dict[str, bytes]


def as_sstrack(results: Results, benchmark: str) -> Files:
    """Ours: `<sequence>.txt` with commas and four decimals, `<sequence>.times.txt`."""
    files = _flat(results, lambda row: ",".join(f"{value:.4f}" for value in row))
    return files | {f"{name}.times.txt": _column(runs[0]) for name, runs in results.seconds.items()}


def as_pytracking(results: Results, benchmark: str) -> Files:
    """pytracking, OSTrack and theirs: `<sequence>.txt`, tabs, cut to whole numbers towards zero as their code does.

    UAV and NFS sequences carry `uav_` and `nfs_` before their names; times are `<sequence>_time.txt`.
    """
    prefix = {"uav123": "uav_", "nfs": "nfs_"}.get(benchmark, "")
    files = _flat(results, lambda row: "\t".join(str(int(value)) for value in row), prefix)
    return files | {f"{prefix}{name}_time.txt": _column(runs[0]) for name, runs in results.seconds.items()}


def as_got10k(results: Results, benchmark: str) -> Files:
    """The got10k toolkit: three decimals, commas; GOT-10k itself in a folder per clip with every repetition."""
    if not benchmark.startswith("got10k"):
        return _flat(results, lambda row: ",".join(f"{value:.3f}" for value in row))
    files: Files = {}
    for name, runs in results.boxes.items():
        for number, run in enumerate(runs, start=1):
            files[f"{name}/{name}_{number:03d}.txt"] = _rows(run, lambda row: ",".join(f"{v:.3f}" for v in row))
    for name, times in results.seconds.items():
        rows = np.stack(times, axis=1)
        files[f"{name}/{name}_time.txt"] = _rows(rows, lambda row: ",".join(f"{v:.8f}" for v in row))
    return files


def as_pysot(results: Results, benchmark: str) -> Files:
    """pysot: VOT runs below `baseline/`, GOT-10k in folders, all others flat with commas."""
    if results.runs:
        return as_vot(results, benchmark)
    if benchmark.startswith("got10k"):
        return as_got10k(results, benchmark)
    return _flat(results, lambda row: ",".join(f"{value:.4f}" for value in row))


def as_vot(results: Results, benchmark: str) -> Files:
    """The VOT toolkits: `baseline/<sequence>/<sequence>_001.txt` per repetition, `_00000050.txt` per anchor."""
    if not results.runs:
        raise ValueError("the VOT format holds runs of VOT's protocols; these results are one-pass boxes")
    digits = 8 if benchmark == "vot2020" else 3
    return {
        f"baseline/{name}/{name}_{number:0{digits}d}.txt": format_regions(run)
        for name, runs in results.runs.items()
        for number, run in runs.items()
    }


FORMATS: Mapping[str, Callable[[Results, str], Files]] = {
    "sstrack": as_sstrack,
    "pytracking": as_pytracking,
    "got10k": as_got10k,
    "pysot": as_pysot,
    "vot": as_vot,
}
"""Name to (results, benchmark) -> files by relative path."""


def _flat(results: Results, line: Callable[[Floats], str], prefix: str = "") -> Files:
    if not results.boxes:
        raise ValueError("this format holds one-pass boxes; these results are VOT runs, which go to vot or pysot")
    return {f"{prefix}{name}.txt": _rows(runs[0], line) for name, runs in results.boxes.items()}


def _rows(rows: Floats, line: Callable[[Floats], str]) -> bytes:
    if not np.isfinite(rows).all():
        raise ValueError("a row with NaN cannot be written in this format without changing what it means")
    return "".join(line(row) + "\n" for row in rows).encode()


def _column(values: Floats) -> bytes:
    return "".join(f"{value:.6f}\n" for value in values).encode()
