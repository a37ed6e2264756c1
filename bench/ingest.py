"""What ingest costs: frames per CPU-second against bare ffmpeg on the same files, in one run.

    python bench/ingest.py [VIDEO_FOLDER] [--soak]

Rows: bare `ffmpeg` to null (the limit); shots and frames; all verdicts and hashes; seed boxes; PySceneDetect and then
ffmpeg, two passes, for the same cuts and pictures. Then two processes against one, beside two bare ffmpeg against one,
which is what the machine has to give, and the largest memory of a worker with its decoders. Starting a worker and its
decoder's server is counted in no row: `start` says what it costs, once for all videos of a worker.
`--soak` ingests 1,000 short videos with one worker and prints how its memory goes.
"""

import argparse
import multiprocessing
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import psutil

from pipelines.ingest.clip.judge import Judgement
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.errand import cpu_seconds
from pipelines.ingest.progress import IngestProgress
from pipelines.ingest.run import ingest as ingest_all
from pipelines.ingest.state.workspace import Workspace
from pipelines.ingest.video import cut
from pipelines.ingest.video.cut import pack_source
from pipelines.ingest.video.decoding.ffmpeg_backend import binary
from pipelines.ingest.video.probe import probe, probed
from pipelines.ingest.video.source import Source

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
        config = IngestConfig()
        pack_source(source, probed(path, config.probing), config, Workspace.of(f"{folder}/dataset"))


def without_seeds(path: Path) -> None:
    """Ingest less the seed boxes."""
    with patch.object(cut, "look_at", lambda *_: ()):
        ingest(path)


def frames_and_shots(path: Path) -> None:
    """Ingest less seed boxes, verdicts and hashes."""
    kept = Judgement({"luma": 0.0}, (), None, "")
    with patch.object(cut, "judge", lambda *_: kept):
        without_seeds(path)


ROWS: dict[str, Callable[[Path], None]] = {
    "bare ffmpeg to null": bare,
    "shots + frames": frames_and_shots,
    "+ verdicts + hashes": without_seeds,
    "+ seed boxes": ingest,
    "PySceneDetect + ffmpeg": two_passes,
}


def decode_all(paths: Sequence[Path]) -> None:
    for path in paths:
        bare(path)


def pack_all(paths: Sequence[Path]) -> None:
    for path in paths:
        without_seeds(path)


def wall(processes: int, work: Callable[[Sequence[Path]], None], paths: Sequence[Path]) -> float:
    """Seconds that `processes` take for their own copies of the work; the better of two rounds."""
    context = multiprocessing.get_context("spawn")
    best = float("inf")
    with context.Pool(processes) as pool:
        pool.map(work, [paths[:1]] * processes, chunksize=1)  # started, imported
        for _ in range(2):
            began = time.perf_counter()
            pool.map(work, [paths] * processes, chunksize=1)
            best = min(best, time.perf_counter() - began)
    return best


def peak_mib(paths: Sequence[Path]) -> tuple[float, float]:
    """Memory of this process and all below it while it ingests `paths`, at most: of all with shared pages counted once
    (and their part of pages that other programs share left out), and resident in the largest."""
    over, most, largest = threading.Event(), 0.0, 0.0

    def look() -> None:
        nonlocal most, largest
        while not over.wait(0.05):
            held = 0
            for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    memory = process.memory_full_info()
                    held += memory.pss
                    largest = max(largest, memory.rss / 2**20)
            most = max(most, held / 2**20)

    watcher = threading.Thread(target=look)
    watcher.start()
    pack_all(paths)
    over.set()
    watcher.join()
    return most, largest


def many_videos(folder: Path, paths: Sequence[Path], count: int) -> None:
    """`count` short videos in `folder`: the starts of `paths`, small, each with bytes of its own at its end."""
    starts = []
    for path in paths:
        start = folder.parent / f"{path.stem}.mp4"
        command = [
            binary(),
            "-nostdin",
            "-v",
            "error",
            "-y",
            "-i",
            str(path),
            "-t",
            "2.5",
            "-vf",
            "scale=192:-2",
            "-an",
        ]
        subprocess.run([*command, str(start)], check=True)
        starts.append(start.read_bytes())
    for number in range(count):
        free = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        (folder / f"{number:04}.mp4").write_bytes(starts[number % len(starts)] + free)


def soak(paths: Sequence[Path], count: int = 1000) -> None:
    """Ingest `count` videos with one watched worker and print its memory, and its parent's, as it goes."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "videos"
        folder.mkdir()
        many_videos(folder, paths, count)

        def show(at: IngestProgress) -> None:
            if at.done in (10, 100, 250, 500, 750, count):
                parent = psutil.Process()
                below = sum(each.memory_info().rss for each in parent.children(recursive=True)) / 2**20
                print(
                    f"{at.done:5} videos: workers {below:4.0f} MiB, parent {parent.memory_info().rss / 2**20:4.0f} MiB"
                )

        began = time.perf_counter()
        report = ingest_all(
            [str(folder)], f"{place}/dataset", IngestConfig(dedup=False, long_side=192), workers=1, progress=show
        )
        print(f"{report.sources_new} videos, {report.clips} clips in {time.perf_counter() - began:.0f} s")


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
    frames = sum(probe(path, IngestConfig().probing).packets for path in paths)
    best = dict.fromkeys(ROWS, float("inf"))
    began = cpu_seconds()
    ingest(paths[-1])
    start = cpu_seconds() - began
    began = cpu_seconds()
    ingest(paths[-1])
    start -= cpu_seconds() - began
    for _ in range(ROUNDS):  # interleaved, so that other load meets all rows alike
        for name, work in ROWS.items():
            began = cpu_seconds()
            for path in paths:
                work(path)
            best[name] = min(best[name], cpu_seconds() - began)
    print(f"{len(paths)} real videos, {frames} frames; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, spent in best.items():
        print(f"{name:24} {frames / spent:6.0f} frames/CPU-s  {best['bare ffmpeg to null'] / spent:5.2f} of bare")
    print(f"start of the decoders' server: {start:.2f} CPU-s")
    print(f"against PySceneDetect + ffmpeg: {best['PySceneDetect + ffmpeg'] / best['shots + frames']:.2f}x")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        most, largest = pool.apply(peak_mib, (paths,))
    print(f"memory: worker and decoders {most:.0f} MiB at most, the largest of them {largest:.0f}")
    for name, work in {"ingest": pack_all, "bare ffmpeg": decode_all}.items():
        print(f"two processes, {name}: {2 * wall(1, work, paths[:4]) / wall(2, work, paths[:4]):.2f}x the rate of one")


if __name__ == "__main__":
    main()
