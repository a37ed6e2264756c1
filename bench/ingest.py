"""What ingest costs: frames per CPU-second against bare ffmpeg on the same files, in one run.

    python bench/ingest.py [VIDEO_FOLDER] [--soak]

Rows: bare `ffmpeg` to null (the limit); shots and frames; all verdicts and hashes; seed boxes; PySceneDetect and then
ffmpeg, two passes, for the same cuts and pictures. Then two processes against one, and the largest memory of a worker
with its decoder. `--soak` ingests 1,000 videos in one process and prints how its memory goes.
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

from pipelines.ingest import clip_job
from pipelines.ingest.clip_job import process_source
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.ffmpeg_command import binary
from pipelines.ingest.judge import Judgement
from pipelines.ingest.probe import probe
from pipelines.ingest.sources import Source
from pipelines.ingest.stages import cpu_seconds
from pipelines.ingest.workspace import Workspace

NAMES = ("01_dog.mp4", "02_cups.mp4", "05_default_juggle.mp4", "clip_10s.mp4", "people_768f.mp4", "street_426x240.mp4")
ROUNDS = 3


def bare(path: Path) -> None:
    """Decode to nothing with one thread."""
    command = [
        binary(),
        "-nostdin",
        "-v",
        "error",
        "-threads",
        "1",
        "-i",
        str(path),
        "-map",
        "0:v:0",
        "-f",
        "null",
        "-",
    ]
    subprocess.run(command, check=True)


def two_passes(path: Path) -> None:
    """PySceneDetect for the cuts, then ffmpeg for the pictures."""
    from scenedetect import AdaptiveDetector, detect

    detect(str(path), AdaptiveDetector())
    with tempfile.TemporaryDirectory() as folder:
        scale = "fps=10,scale='min(854,iw)':-2:flags=bilinear"
        command = [binary(), "-nostdin", "-v", "error", "-threads", "1", "-i", str(path), "-map", "0:v:0", "-vf", scale]
        subprocess.run([*command, "-threads", "1", "-q:v", "3", f"{folder}/%04d.jpg"], check=True)


def ingest(path: Path) -> None:
    """One source to one pack."""
    with tempfile.TemporaryDirectory() as folder:
        source = Source(f"{path.stat().st_size:064x}", str(path), path, path.stat().st_size)
        process_source(source, IngestConfig(), Workspace.of(f"{folder}/dataset"))


def without_seeds(path: Path) -> None:
    """Ingest less the seed boxes."""
    with patch.object(clip_job, "look_at", lambda *_: ()):
        ingest(path)


def frames_and_shots(path: Path) -> None:
    """Ingest less seed boxes, verdicts and hashes."""
    kept = Judgement({"luma": 0.0}, (), None, "")
    with patch.object(clip_job, "judge", lambda *_: kept):
        without_seeds(path)


ROWS: dict[str, Callable[[Path], None]] = {
    "bare ffmpeg to null": bare,
    "shots + frames": frames_and_shots,
    "+ verdicts + hashes": without_seeds,
    "+ seed boxes": ingest,
    "PySceneDetect + ffmpeg": two_passes,
}


def everything(paths: Sequence[Path]) -> None:
    for path in paths:
        without_seeds(path)


def wall(processes: int, paths: Sequence[Path]) -> float:
    """Seconds that `processes` take for their own copies of the work."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        pool.map(everything, [paths[:1]] * processes, chunksize=1)  # started, imported
        began = time.perf_counter()
        pool.map(everything, [paths] * processes, chunksize=1)
        return time.perf_counter() - began


def resident_mib() -> float:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def soak(paths: Sequence[Path], count: int = 1000) -> None:
    """Ingest `count` videos and print memory as it goes."""
    for number in range(count):
        without_seeds(paths[number % len(paths)])
        if number % 100 == 99:
            print(f"after {number + 1:4} videos: {resident_mib():.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "videos", nargs="?", default=Path(os.environ.get("SSTRACK_SHARED", "../shared"), "data/videos"), type=Path
    )
    parser.add_argument("--soak", action="store_true")
    options = parser.parse_args()
    paths = [options.videos / name for name in NAMES]
    if options.soak:
        soak([options.videos / name for name in ("big_buck_bunny.wmv", "action.avi", "nasa_13013.mp4")])
        return
    frames = sum(probe(path, IngestConfig()).packets for path in paths)
    best = dict.fromkeys(ROWS, float("inf"))
    for _ in range(ROUNDS):  # interleaved, so that other load meets all rows alike
        for name, work in ROWS.items():
            began = cpu_seconds()
            for path in paths:
                work(path)
            best[name] = min(best[name], cpu_seconds() - began)
    print(f"{len(paths)} real videos, {frames} frames; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, spent in best.items():
        print(f"{name:24} {frames / spent:6.0f} frames/CPU-s  {best['bare ffmpeg to null'] / spent:5.2f} of bare")
    print(f"against PySceneDetect + ffmpeg: {best['PySceneDetect + ffmpeg'] / best['shots + frames']:.2f}x")
    worker = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    decoder = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"memory: worker {worker:.0f} MiB at most (bench and PySceneDetect included), largest child {decoder:.0f} MiB"
    )
    one, two = wall(1, paths[:4]), wall(2, paths[:4])
    print(f"two processes: {2 * one / two:.2f}x the rate of one")


if __name__ == "__main__":
    main()
