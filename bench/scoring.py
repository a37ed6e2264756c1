"""How long scoring takes, on one core: LaSOT test, OTB100, VOT2018, with reading, on real published results.

    python bench/scoring.py [FOLDER]     archives lasot, otb100, vot2018 .tar.xz; default $SSTRACK_SHARED/data/metrics

Beside each time stands that of reading the same files' bytes alone, in the same run: the rest is ours.
"""

import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from sstrack.benchmarks.registry import benchmark
from sstrack.benchmarks.result_files import read_results
from sstrack.benchmarks.scoring import score_results

ROUNDS = 3


def score(name: str, gt: Path, results: Path, rule: str | None = None) -> float:
    """The headline number, everything read anew."""
    entry = benchmark(name)
    truths = entry.truths(gt)
    scores = score_results(entry, truths, read_results(results, truths, entry.protocol), entry.rule(rule))
    return scores.metrics[scores.headline]


def best(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of the quickest of a few rounds; they differ where others use the machine."""
    times = []
    for _ in range(ROUNDS):
        begun, used = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - begun, time.process_time() - used))
    return min(times)


def bytes_of(*places: Path) -> int:
    files = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file()]
    return sum(len(path.read_bytes()) for path in files)


def main() -> None:
    folder = Path(
        sys.argv[1] if len(sys.argv) > 1 else Path(os.environ.get("SSTRACK_SHARED", ".")) / "data" / "metrics"
    )
    benchmark("lasot")
    with tempfile.TemporaryDirectory() as scratch:
        x = Path(scratch)
        for name in ("lasot", "otb100", "vot2018"):
            with tarfile.open(folder / f"{name}.tar.xz") as archive:
                archive.extractall(x / name, filter="data")
        otb, otb_gt = (
            [x / "otb100/results" / t for t in ("ATOM", "SiamBAN", "UDT_OTB100")],
            x / "otb100/gt/OTB2015.json",
        )
        lasot, lasot_gt = x / "lasot/results/ATOM", x / "lasot/gt"
        vot, vot_gt = x / "vot2018/results/DaSiamRPN", x / "vot2018/gt/VOT2018.json"
        rows = [
            ("LaSOT test, 280 sequences, 1 tracker", lambda: score("lasot", lasot_gt, lasot), (lasot, lasot_gt), 3.0),
            ("OTB100, 3 trackers", lambda: [score("otb100", otb_gt, one) for one in otb], (*otb, otb_gt), 2.0),
            ("VOT2018 EAO, A, R, Matlab rule", lambda: score("vot2018", vot_gt, vot), (vot, vot_gt), 10.0),
            ("VOT2018 EAO, A, R, python rule", lambda: score("vot2018", vot_gt, vot, "python"), (vot, vot_gt), 10.0),
        ]
        print(f"{'what':40} {'wall s':>8} {'cpu s':>8} {'reading bytes, cpu s':>21} {'goal s':>7}")
        for what, work, places, goal in rows:
            wall, cpu = best(work)
            _, reading = best(lambda places=places: bytes_of(*places))
            print(f"{what:40} {wall:8.2f} {cpu:8.2f} {reading:21.3f} {goal:7.0f}")


if __name__ == "__main__":
    main()
