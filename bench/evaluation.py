"""What an evaluation costs beside tracking: scheduling, looking for what is there, keeping results, scoring.

    python bench/evaluation.py                                  9 benchmarks of 1,000 sequences of 4 frames, 2 workers
    python bench/evaluation.py --benchmarks 2 --sequences 100   a small one
    python bench/evaluation.py --kills 10                       ten kill -9 in one benchmark of 1,000, reruns, compare

First pieces of `--seconds` that only wait go through Ray as an evaluation's do: their time over the time that so many
workers need at least is what scheduling costs. Then a network that costs next to nothing, untrained, tracks benchmarks
whose frames are links to a few pictures: `tracked` is the time that its frames took, `else` all other time of the
workers, in milliseconds a sequence; `again` finds everything done. Memory is the driver's largest.

With `--kills` drivers and workers of one evaluation die in turn, spread over its sequences; a dead driver is started
again. What it ends with has to be, byte for byte, what an undisturbed one gives.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import cv2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.cluster import local_cluster, run_streams
from pipelines.evaluation.results import ResultStore
from pipelines.evaluation.run import EvaluationReport, How, evaluate

NETWORK = {
    "net.depth": 1, "net.width": 24, "net.heads": 1, "net.head_width": 16, "net.template_size": 16,
    "net.search_size": 32,
}  # fmt: skip


def wait(seconds: float) -> Iterator[None]:
    """A piece of work that takes this long and needs no processor."""
    time.sleep(seconds)
    yield None


def scheduling(pieces: int, seconds: float, workers: int) -> float:
    """Time of that many pieces over the least it could be."""
    list(run_streams(wait, [(0.0,)] * workers, at_once=workers))  # processes that have started
    began = time.perf_counter()
    list(run_streams(wait, [(seconds,)] * pieces, at_once=2 * workers))
    return (time.perf_counter() - began) * workers / (pieces * seconds)


def write_benchmark(root: Path, pictures: list[Path], sequences: int, number: int) -> str:
    """Sequences of the same pictures, with boxes that are this set's own: another one's results are not taken over."""
    for scene in range(sequences):
        folder = root / f"scene-{scene:04d}"
        folder.mkdir(parents=True)
        for index, picture in enumerate(pictures):
            os.link(picture, folder / f"{index}.jpg")
        rows = "".join(f"{10 + 2 * i},{20 + number},24,24\n" for i in range(len(pictures)))
        (folder / "groundtruth.txt").write_text(rows)
    return str(root)


def write_pictures(folder: Path, frames: int) -> list[Path]:
    """A bright square that moves over noise."""
    ground = np.random.default_rng(0).integers(0, 90, (96, 96, 3), dtype=np.uint8)
    made = []
    for index in range(frames):
        picture = ground.copy()
        picture[20:44, 10 + 2 * index : 34 + 2 * index] = (240, 200, 40)
        made.append(folder / f"{index}.jpg")
        cv2.imwrite(str(made[-1]), picture)
    return made


def package(folder: Path) -> str:
    """An untrained network that costs next to nothing."""
    import torch

    from sstrack.models.package import save_package
    from sstrack.models.tracker_net import TrackerNet
    from sstrack.recipes import recipe

    torch.manual_seed(0)
    config = recipe("tiny_cpu", NETWORK)
    return str(save_package(folder, TrackerNet(config.net), config, {"step": 0}))


def tracked(report: EvaluationReport, names: list[str]) -> float:
    """Seconds that the frames took."""
    store = ResultStore(report.results)
    return sum(float(store.seconds(name).sum()) for name in names)


def evaluate_on_ray(model: str, root: str, out: str, workers: int) -> None:
    """In a process of its own, which may be killed."""
    import pipelines.evaluation.run as run

    run.WORK_WORTH_A_CLUSTER = 0.0
    with local_cluster(workers):
        evaluate(model, "folder", root, out, How(workers=workers))


def answers(out: Path) -> dict[str, bytes]:
    """What was kept, without times, which no two runs share."""
    kept = [path for path in out.rglob("*") if path.is_file() and ".times" not in path.name]
    return {str(path.relative_to(out)): path.read_bytes() for path in kept if not path.name.startswith(".")}


def done(out: Path) -> int:
    """Sequences whose result is there."""
    return len(list(out.rglob("scene-*.times.txt")))


def begin(*given: str | int) -> BaseProcess:
    child = get_context("spawn").Process(target=evaluate_on_ray, args=given)
    child.start()
    return child


def name_of(process: psutil.Process) -> str:
    """Empty where it has ended."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def kill_and_compare(model: str, root: str, work: Path, args: argparse.Namespace) -> None:
    """Kill so often, spread over the sequences, and say whether the end is the same."""
    whole, out = work / "whole", work / "out"
    child = begin(model, root, str(whole), args.workers)
    child.join()
    assert child.exitcode == 0, "the undisturbed evaluation failed"
    child = begin(model, root, str(out), args.workers)
    for number in range(args.kills):
        until = args.sequences * (number + 1) // (args.kills + 1)
        while done(out) < until and child.is_alive():
            time.sleep(0.01)
        if not child.is_alive():
            break
        below = psutil.Process(child.pid).children(recursive=True)
        workers = [each for each in below if name_of(each).startswith("ray::track_piece")]
        victim = "worker" if number % 2 and workers else "driver"
        with suppress(psutil.NoSuchProcess):  # it may be done by now
            (workers[0] if victim == "worker" else child).kill()
        print(f"kill {number + 1}: a {victim}, after {done(out)} of {args.sequences} sequences", flush=True)
        if victim == "driver":
            child.join()
            psutil.wait_procs(below, timeout=60)  # Ray ends by itself when its driver is gone
            child = begin(model, root, str(out), args.workers)
    child.join()
    same = answers(out) == answers(whole)
    print(f"{len(answers(out))} files, {'byte for byte those' if same else 'NOT those'} of an undisturbed evaluation")
    sys.exit(0 if same and child.exitcode == 0 else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmarks", type=int, default=9)
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pieces", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--kills", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        os.environ["SSTRACK_WORK"] = str(work)
        pictures = write_pictures(work, args.frames)
        sets = 1 if args.kills else args.benchmarks
        roots = [write_benchmark(work / f"set-{n}", pictures, args.sequences, n) for n in range(sets)]
        names = [f"scene-{number:04d}" for number in range(args.sequences)]
        model = package(work / "package")
        if args.kills:
            kill_and_compare(model, roots[0], work, args)
        with local_cluster(args.workers):
            cost = scheduling(args.pieces, args.seconds, args.workers)
            print(
                f"{args.pieces} pieces of {args.seconds:g} s on {args.workers} workers: {cost - 1:.1%} over the least"
            )
            print(
                f"{'':>12}{'wall s':>10}{'tracked s':>12}{'else ms/seq':>13}{'again s':>10}{'memory MB':>12}",
                flush=True,
            )
            for number, root in enumerate(roots):
                began = time.perf_counter()
                report = evaluate(model, "folder", root, str(work / "out"), How(workers=args.workers))
                wall = time.perf_counter() - began
                assert not report.found
                spent = tracked(report, names)
                beside = 1e3 * (wall * args.workers - spent) / args.sequences
                began = time.perf_counter()
                assert evaluate(model, "folder", root, str(work / "out")).found
                again = time.perf_counter() - began
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                row = f"{wall:10.1f}{spent:12.1f}{beside:13.1f}{again:10.1f}{memory:12.0f}"
                print(f"set {number:>8}{row}", flush=True)


if __name__ == "__main__":
    # Piles of tiny frames are far from being worth a cluster; here it is what is measured.
    import pipelines.evaluation.run as run

    run.WORK_WORTH_A_CLUSTER = 0.0
    main()
