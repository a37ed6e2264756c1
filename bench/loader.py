"""What a training sample of four full frames costs: our loader, webdataset streaming, frame folders, bare JPEG decode.

    python bench/loader.py [VIDEO]

VIDEO (default: `$SSTRACK_SHARED/data/videos/clip_10s.mp4`, 854x480) goes through ingest. All its frames, and then its
first 30, are stored as one clip 24 times under other names: streaming reads whole clips, so their length decides what
it costs. Each round runs all ways one after the other; the medians of CPU seconds per sample are compared.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from webdataset import WebDataset  # type: ignore[attr-defined]

from pipelines.dataset import canvas, drawing
from pipelines.dataset.commit import Tables, publish_child
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.manifest import Manifest, canonical_json, load_manifest
from pipelines.dataset.tars import TarReader, write_shard
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.publish.tables import REJECTS, SOURCES, clip_rows
from pipelines.ingest.run import ingest
from sstrack.clips.clip import Clip, SeedBox
from sstrack.configs.data import DataConfig

COPIES, BATCH, ROUNDS, BATCHES = 24, 8, 7, 6
CONFIG = DataConfig(n_search=3, group_size=BATCH, groups=1)
NUMBERS = np.random.default_rng(0)


def frames_of(video: Path, folder: Path) -> tuple[list[bytes], Clip]:
    """The stored frames of all clips of a video in time order, and one of its clips' records."""
    config = IngestConfig(score_only=True, crop_bars=False, min_frames=2)
    manifest = ingest([str(video)], str(folder), config, workers=1).manifest
    samples = []
    for shard in load_manifest(str(folder), manifest).shards:
        with closing(TarReader(str(folder), shard.sha256, folder)) as tar:
            samples += [tar.sample(clip_id) for clip_id in tar.clip_ids]
    clips = sorted(((Clip.from_dict(json.loads(each["json"])), each) for each in samples), key=lambda c: c[0].start_s)
    return [each[name] for _, each in clips for name in sorted(each) if name.endswith(".jpg")], clips[0][0]


def store(jpegs: list[bytes], record: Clip, folder: Path) -> tuple[str, Manifest]:
    """A dataset of `COPIES` clips of these frames in two shards, and the same frames as files under `folder/frames`."""
    rows, shards = [], []
    for part in range(2):
        copies = {}
        for number in range(part, COPIES, 2):
            seed = SeedBox((10.0, 10.0, 50.0, 50.0), 1.0, "user")
            clip = replace(record, clip_id=f"{number:020x}", frames=len(jpegs), seed_boxes=(seed,))
            frames = {f"{index:04d}.jpg": jpeg for index, jpeg in enumerate(jpegs)}
            copies[clip.clip_id] = (clip, {**frames, "json": canonical_json(clip.as_dict())})
            place = folder / "frames" / clip.clip_id
            place.mkdir(parents=True)
            for name, jpeg in frames.items():
                (place / name).write_bytes(jpeg)
        samples = ((name, copies[name][1]) for name in sorted(copies))
        shard, digests = write_shard(str(folder / "set"), samples, folder / "scratch")
        shards.append(shard)
        rows += [(clip, shard.sha256, digests[name]) for name, (clip, _) in copies.items()]
    tables = Tables(clip_rows(rows), REJECTS.empty_table(), SOURCES.empty_table())
    return str(folder / "set"), publish_child(str(folder / "set"), None, tables, shards, {}, "bench", {})


def four(frames: int, decode: Callable[[int], np.ndarray]) -> list[np.ndarray]:
    """The pictures of a sample's four frames; one that is drawn twice is decoded once, as ours does."""
    numbers = [0, *sorted(NUMBERS.integers(1, frames, 3).tolist())]
    decoded = {number: decode(number) for number in sorted(set(numbers))}
    return [decoded[number] for number in numbers]


def bare(jpegs: list[bytes]) -> Callable[[], int]:
    """Decode and forget, into one buffer: the limit."""
    height, width = simplejpeg.decode_jpeg_header(jpegs[0])[:2]
    buffer = np.empty((int(height), int(width), 3), np.uint8)

    def run() -> int:
        for _ in range(BATCH * BATCHES):
            four(
                len(jpegs),
                lambda n: simplejpeg.decode_jpeg(jpegs[n], "RGB", fastdct=True, fastupsample=True, buffer=buffer),
            )
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
        return np.stack(
            four(
                len(names),
                lambda n: simplejpeg.decode_jpeg(sample[names[n]], "RGB", fastdct=True, fastupsample=True),
            )
        )

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

    def read(file: Path) -> np.ndarray:
        picture = cv2.imread(str(file))
        assert picture is not None
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def samples() -> Iterator[np.ndarray]:
        for number in range(BATCH * BATCHES):
            files = sorted(places[number % len(places)].iterdir())
            yield np.stack(four(len(files), lambda n, files=files: read(files[n])))

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
        jpegs, record = frames_of(video, Path(scratch) / "ingested")
        for length in (len(jpegs), 30):
            compare(jpegs[:length], record, Path(scratch) / str(length))


def compare(jpegs: list[bytes], record: Clip, folder: Path) -> None:
    dataset, manifest = store(jpegs, record, folder)
    loader = ClipLoader([Dataset(dataset, manifest.digest)], CONFIG, 1)
    mean = sum(map(len, jpegs)) / len(jpegs) / 1024
    print(f"{COPIES} clips of {len(jpegs)} frames, {record.width}x{record.height}, {mean:.0f} KiB a frame")
    ways = {
        "bare simplejpeg": bare(jpegs),
        "ours": ours(loader),
        "webdataset": streaming([f"{dataset}/shards/{each.sha256}.tar" for each in manifest.shards]),
        "frame folders": folders(folder / "frames"),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for lap in range(ROUNDS):
        for name, run in ways.items():
            started = time.process_time()
            done = run()
            if lap:  # the first round warms up
                spent[name].append((time.process_time() - started) / done)
    cost = {name: statistics.median(times) for name, times in spent.items()}
    read = {"ours": loader.bytes_read / loader.replaced.samples, "webdataset": manifest.totals.bytes / COPIES}
    for name, seconds in cost.items():
        kib = f", {read[name] / 1024:6.0f} KiB read a sample" if name in read else ""
        print(f"  {name:16} {1 / seconds:6.0f} samples per CPU-second{kib}")
    print(f"  of bare decode: {cost['bare simplejpeg'] / cost['ours']:.2f} (goal 0.8)")
    print(f"  over webdataset: {cost['webdataset'] / cost['ours']:.2f} times (goal 2.5)")
    bound = cost["webdataset"] / cost["bare simplejpeg"]
    print(f"  bare decode over webdataset: {bound:.2f} times, more than that nobody can be")
    print(f"  over frame folders: {cost['frame folders'] / cost['ours']:.2f} times")
    print(f"  read amplification: {amplification(dataset, manifest):.3f} (goal 1.05)")
    wall, cpu = time.perf_counter(), time.process_time()
    ClipLoader([Dataset(dataset, manifest.digest)], CONFIG, 1).group(1_000_003, 0)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"  first batch after resume at step 1000003: {wall:.2f} s, {cpu:.2f} CPU-s (goal 1)")


def amplification(dataset: str, manifest: Manifest) -> float:
    """Bytes read from tars over bytes of the JPEGs that were decoded."""
    loader = ClipLoader([Dataset(dataset, manifest.digest)], CONFIG, 2)
    wanted = 0
    decode = canvas.decode_onto

    def counted(jpeg: bytes, onto: np.ndarray) -> tuple[int, int, float]:
        nonlocal wanted
        wanted += len(jpeg)
        return decode(jpeg, onto)

    drawing.decode_onto = counted
    for step in range(4):
        loader.group(step, 0)
    drawing.decode_onto = decode
    return loader.bytes_read / wanted


if __name__ == "__main__":
    main()
