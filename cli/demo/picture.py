"""The demo's picture: held-out sequences, filmed and rendered, and clips of the video that was ingested."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.dataset.manifest import load_manifest, read_clips, read_sources
from pipelines.dataset.reader import ShardReader
from pipelines.evaluation.strips import FOUND, OTHER, TRUTH, Colour, Strip, result_strips, write_strips
from pipelines.registry.models import resolve_model, tracker_digest
from pipelines.tracking.follow import follow

_CLIPS = 2
_HELD_OUT = ("real_face", "scene_004", "scene_008")


def draw_picture(
    work: Path, dataset: str, held_out: Path, evaluation: Mapping[str, Any], package: str, start: str
) -> Path:
    """Draw `tracked.png` in `work`: the truth in white, the fine-tuned model's boxes in green, those of the model that
    it started from in orange. Clips have no truth but the seed box that both start from.

    Args:
        evaluation: reports of `trained` and `untrained` on the sequences under `held_out`.
        package: the fine-tuned model.
        start: the model it started from.
    """
    results = {OTHER: evaluation["untrained"]["results"], FOUND: evaluation["trained"]["results"]}
    strips = result_strips(results, "folder", str(held_out), _HELD_OUT)
    strips += [_clip_strip(work, dataset, row, {OTHER: start, FOUND: package}) for row in _real_clips(work, dataset)]
    picture = work / "tracked.png"
    write_strips(picture, strips)
    return picture


def _real_clips(work: Path, dataset: str) -> list[dict[str, Any]]:
    """The surest seeds among clips that were not rendered by us, of different videos where there are several."""
    manifest = load_manifest(dataset)
    rendered = str(work / "videos")
    real = {
        row["source_id"]
        for row in read_sources(dataset, manifest).to_pylist()
        if not row["source_uri"].removeprefix("file://").startswith(rendered)
    }
    rows = [row for row in read_clips(dataset, manifest).to_pylist() if row["seed_source"] and row["source_id"] in real]
    rows.sort(key=lambda row: -row["seed_score"])
    first = {row["source_id"]: row for row in reversed(rows)}
    best = sorted(first.values(), key=lambda row: -row["seed_score"])
    return (best + [row for row in rows if row not in best])[:_CLIPS]


def _clip_strip(work: Path, dataset: str, row: Mapping[str, Any], models: Mapping[Colour, str]) -> Strip:
    """One clip with each model's boxes, tracked once."""
    folder = work / "shown" / row["clip_id"]
    frames = folder / "frames"
    if not frames.is_dir():
        manifest = load_manifest(dataset)
        reader = ShardReader(dataset, {shard.sha256: shard.bytes for shard in manifest.shards})
        clip = reader.clip(row["shard"], row["clip_id"], row["frames"])
        with storage.new_folder(frames, "keep") as draft:
            for number in range(row["frames"]):
                (draft / f"{number + 1:08d}.jpg").write_bytes(clip.frame(number))
    box = (row["seed_x"], row["seed_y"], row["seed_w"], row["seed_h"])
    seed = np.full((row["frames"], 4), np.nan)
    seed[0] = box
    boxes: dict[Colour, NDArray[np.float64]] = {TRUTH: seed}
    for colour, model in models.items():
        out = folder / f"{tracker_digest(resolve_model(model))}.txt"
        if not out.is_file():
            follow(model, str(frames), [box], out)
        boxes[colour] = np.loadtxt(out, delimiter=",", ndmin=2)
    return Strip(sorted(frames.glob("*.jpg")), boxes)
