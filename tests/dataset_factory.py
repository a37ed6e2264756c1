"""Small published datasets of drawn pictures, made through the same writers as ingest, for tests of what reads them."""

import hashlib
from pathlib import Path

import numpy as np
import simplejpeg

from pipelines.dataset.commit import Tables, publish_child
from pipelines.dataset.manifest import Manifest, canonical_json
from pipelines.dataset.tars import write_shard
from pipelines.ingest.publish.tables import CLIPS, REJECTS, SOURCES, clip_rows
from sstrack.clips.clip import Clip, SeedBox, clip_key


def make_dataset(
    dataset: str,
    scratch: Path,
    shards: int = 3,
    clips: int = 4,
    frames: int = 6,
    sizes: tuple[tuple[int, int], ...] = ((64, 48),),
    labelled: bool = False,
    first_visible: int = 0,
) -> Manifest:
    """Publish `shards` x `clips` clips. A picture's red is its clip's number, its green 20 times the frame's number.

    Two seed boxes each; labelled ones have a true box on every frame from `first_visible` on.
    """
    rows, made, number = [], [], 0
    for _ in range(shards):
        samples = {}
        for _ in range(clips):
            width, height = sizes[number % len(sizes)]
            source = hashlib.sha256(f"{dataset}{number}".encode()).hexdigest()
            boxes = tuple((2.0 + t, 3.0, 10.0, 8.0) if t >= first_visible else None for t in range(frames))
            clip = Clip(
                clip_id=clip_key(source, 0, frames, "config"), source_id=source, start_s=0.0, end_s=frames / 10,
                fps=10.0, frames=frames, width=width, height=height, scores={},
                seed_boxes=(SeedBox((1.0, 2, 10, 8), 0.9, "motion"), SeedBox((5.0, 6, 9, 7), 0.8, "motion")),
                config="config", boxes=boxes if labelled else None,
                visible=tuple(box is not None for box in boxes) if labelled else None,
            )  # fmt: skip
            samples[clip.clip_id] = (clip, {
                **{f"{t:04d}.jpg": picture(width, height, number, t) for t in range(frames)},
                "json": canonical_json(clip.as_dict()),
            })  # fmt: skip
            number += 1
        shard, digests = write_shard(dataset, ((name, samples[name][1]) for name in sorted(samples)), scratch)
        made.append(shard)
        rows += [(clip, shard.sha256, digests[name]) for name, (clip, _) in samples.items()]
    tables = Tables(clip_rows(rows), REJECTS.empty_table(), SOURCES.empty_table())
    assert tables.clips.schema == CLIPS
    return publish_child(dataset, None, tables, made, {}, "config", {})


def picture(width: int, height: int, clip: int, frame: int) -> bytes:
    pixels = np.full((height, width, 3), (clip, 20 * frame, 100), np.uint8)
    return simplejpeg.encode_jpeg(pixels, 95, "RGB")
