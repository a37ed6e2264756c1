"""What a training sample of four full frames costs: our loader, webdataset streaming, frame folders, bare JPEG decode.

    python bench/loader.py [VIDEO]

VIDEO (default: `$SSTRACK_SHARED/data/videos/clip_10s.mp4`, 854x480) goes through ingest; its clip is stored 24 times
under other names. Each round runs all ways one after the other; the medians of CPU seconds per sample are compared.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from webdataset import WebDataset  # type: ignore[attr-defined]

from pipelines.dataset.batches import Dataset
from pipelines.dataset.commit import Tables, publish_child
from pipelines.dataset.index import load_index
from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.manifest import Manifest, canonical_json, load_manifest
from pipelines.dataset.tars import read_samples, write_shard
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from pipelines.ingest.tables import REJECTS, SOURCES, clip_rows
from sstrack.clips.clip import Clip, SeedBox
from sstrack.recipes import DataConfig

COPIES, BATCH, ROUNDS, BATCHES = 24, 8, 9, 6
CONFIG = DataConfig(n_search=3, group_size=BATCH, groups=1)
NUMBERS = np.random.default_rng(0)


def store(video: Path, folder: Path) -> tuple[str, Manifest]:
    """A dataset of `COPIES` clips in two shards, and the same frames as files under `folder/frames`."""
    ingest([str(video)], str(folder / "ingested"), IngestConfig(score_only=True, fps=30), workers=1)
    clips = [
        each
        for shard in load_manifest(str(folder / "ingested")).shards
        for each in read_samples(folder / "ingested" / "shards" / f"{shard.sha256}.tar")
    ]
    _, sample = max(clips, key=lambda each: len(each[1]))
    clip = Clip.from_dict(json.loads(sample["json"]))
    rows, shards = [], []
    for part in range(2):
        copies = {}
        for number in range(part, COPIES, 2):
            seeds = clip.seed_boxes or (SeedBox((10.0, 10.0, 50.0, 50.0), 1.0, "user"),)
            copy = Clip(**{**vars(clip), "clip_id": f"{number:020x}", "seed_boxes": seeds})
            copies[copy.clip_id] = (copy, {**sample, "json": canonical_json(copy.as_dict())})
            place = folder / "frames" / copy.clip_id
            place.mkdir(parents=True)
            for name, data in sample.items():
                if name.endswith(".jpg"):
                    (place / name).write_bytes(data)
        shard, digests = write_shard(
            str(folder / "set"), ((name, copies[name][1]) for name in sorted(copies)), folder / "scratch"
        )
        shards.append(shard)
        rows += [(copy, shard.sha256, digests[name]) for name, (copy, _) in copies.items()]
    tables = Tables(clip_rows(rows), REJECTS.empty_table(), SOURCES.empty_table())
    return str(folder / "set"), publish_child(str(folder / "set"), None, tables, shards, {}, "bench", {})


def four(frames: int) -> list[int]:
    return [0, *sorted(NUMBERS.integers(1, frames, 3).tolist())]


def bare(jpegs: list[bytes]) -> Callable[[], int]:
    """Decode and forget, into one buffer: the limit."""
    height, width = simplejpeg.decode_jpeg_header(jpegs[0])[:2]
    buffer = np.empty((int(height), int(width), 3), np.uint8)

    def run() -> int:
        for _ in range(BATCH * BATCHES):
            for number in four(len(jpegs)):
                simplejpeg.decode_jpeg(jpegs[number], "RGB", fastdct=True, fastupsample=True, buffer=buffer)
        return BATCH * BATCHES

    return run


def ours(loader: ClipLoader) -> Callable[[], int]:
    steps = iter(range(10**9))

    def run() -> int:
        for batch in loader.groups([(next(steps), 0) for _ in range(BATCHES)]):
            assert batch.frames.shape[0] == BATCH
        return BATCH * BATCHES

    return run


def streaming(tars: list[str]) -> Callable[[], int]:
    """One sample per clip, shuffled over 8 clips, batches of full frames, the same decoder with the same flags."""

    def decode(sample: dict) -> np.ndarray:
        names = sorted(name for name in sample if name.endswith(".jpg"))
        chosen = [sample[names[number]] for number in four(len(names))]
        return np.stack([simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=True, fastupsample=True) for jpeg in chosen])

    def run() -> int:
        stream = WebDataset(tars, shardshuffle=False, empty_check=False).shuffle(8).map(decode)
        done = 0
        for batch in stream.batched(BATCH, collation_fn=np.stack):
            done += len(batch)
        return done

    return run


def folders(root: Path) -> Callable[[], int]:
    """`cv2.imread` of one file a frame, BGR to RGB, stacked: as pytracking-style loaders read."""
    places = sorted(root.iterdir())

    def samples() -> Iterator[np.ndarray]:
        for number in range(BATCH * BATCHES):
            files = sorted(places[number % len(places)].iterdir())
            pictures = [cv2.imread(str(files[n])) for n in four(len(files))]
            yield np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in pictures if picture is not None])

    def run() -> int:
        ready = []
        for sample in samples():
            ready.append(sample)
            if len(ready) == BATCH:
                np.stack(ready)
                ready = []
        return BATCH * BATCHES

    return run


def main() -> None:
    default = Path(os.environ.get("SSTRACK_SHARED", "../shared")) / "data/videos/clip_10s.mp4"
    video = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    os.environ["SSTRACK_LOADER_THREADS"] = "1"
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="bench-loader-") as scratch:
        dataset, manifest = store(video, Path(scratch))
        loader = ClipLoader([Dataset(dataset, manifest.digest)], CONFIG, 1)
        shard = manifest.shards[0].sha256
        span = next(iter(load_index(dataset, shard).values()))
        tar = (Path(dataset) / "shards" / f"{shard}.tar").read_bytes()
        jpegs = [tar[o : o + s] for o, s in zip(span.offsets.tolist(), span.sizes.tolist(), strict=True)]
        height, width = simplejpeg.decode_jpeg_header(jpegs[0])[:2]
        print(f"{COPIES} clips of {len(jpegs)} frames, {width}x{height}, {np.mean(span.sizes) / 1024:.0f} KiB a frame")
        tars = [str(Path(dataset) / "shards" / f"{each.sha256}.tar") for each in manifest.shards]
        ways = {
            "bare simplejpeg": bare(jpegs),
            "ours": ours(loader),
            "webdataset": streaming(tars),
            "frame folders": folders(Path(scratch) / "frames"),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for lap in range(ROUNDS):
            for name, run in ways.items():
                started = time.process_time()
                done = run()
                if lap:  # the first round warms up
                    spent[name].append((time.process_time() - started) / done)
        cost = {name: statistics.median(times) for name, times in spent.items()}
        per_sample = sum(span.sizes) / len(span.sizes) * 4
        for name, seconds in cost.items():
            read = {"ours": loader.bytes_read / loader.replaced.samples, "webdataset": len(tar) * 2 / COPIES}.get(name)
            print(
                f"{name:16} {1 / seconds:6.0f} samples per CPU-second, {cost['bare simplejpeg'] / seconds:5.2f} of bare"
                + (f", {read / 1024:6.0f} KiB read a sample" if read else "")
            )
        print(f"ours over webdataset: {cost['webdataset'] / cost['ours']:.2f}x in CPU a sample (goal 2.5)")
        print(f"ours over frame folders: {cost['frame folders'] / cost['ours']:.2f}x")
        print(f"ours of bare decode: {cost['bare simplejpeg'] / cost['ours']:.2f} (goal 0.8)")
        print(f"read amplification: {amplification(dataset, manifest):.3f} (goal 1.05); a sample's JPEGs: "
              f"{per_sample / 1024:.0f} KiB")  # fmt: skip
        wall, cpu = time.perf_counter(), time.process_time()
        ClipLoader([Dataset(dataset, manifest.digest)], CONFIG, 1).group(1_000_003, 0)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"first batch after resume at step 1000003: {wall:.2f} s, {cpu:.2f} CPU-s (goal 1)")


def amplification(dataset: str, manifest: Manifest) -> float:
    """Bytes read from tars over bytes of the JPEGs that were decoded."""
    loader = ClipLoader([Dataset(dataset, manifest.digest)], CONFIG, 2)
    wanted = 0
    reader = loader._parts[0].reader
    read = reader.frame

    def counted(shard: str, clip_id: str, frames: int, number: int) -> bytes:
        nonlocal wanted
        data = read(shard, clip_id, frames, number)
        wanted += len(data)
        return data

    reader.frame = counted  # type: ignore[method-assign]
    for step in range(4):
        loader.group(step, 0)
    return loader.bytes_read / wanted


if __name__ == "__main__":
    main()
