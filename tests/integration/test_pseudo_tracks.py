"""Boxes that nobody made: a real video's seeds are followed at ingest, and reach a training as boxes."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.dataset.dataset import Dataset
from pipelines.dataset.drawing import Choice, paint
from pipelines.dataset.manifest import load_manifest, read_clips
from pipelines.dataset.modes import open_loader
from pipelines.dataset.reader import ShardReader
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from sstrack.clips.clip import PSEUDO, Clip
from sstrack.configs.data import DataConfig


@pytest.fixture(scope="module")
def dataset(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = str(tmp_path_factory.mktemp("pseudo") / "dataset")
    settings = IngestConfig(long_side=240, min_frames=10, max_frames=20, pseudo_tracks=True, pseudo_agree=0.5)
    ingest([str(real_videos / "street_426x240.mp4")], out, settings)
    return out


def records(dataset: str) -> list[Clip]:
    manifest = load_manifest(dataset)
    reader = ShardReader(dataset, {shard.sha256: shard.bytes for shard in manifest.shards})
    rows = read_clips(dataset, manifest).to_pylist()
    return [reader.clip(row["shard"], row["clip_id"], row["frames"]).record() for row in rows]


def test_a_clip_keeps_the_boxes_of_a_seed_that_could_be_followed_and_says_whose_they_are(dataset: str) -> None:
    rows = read_clips(dataset, load_manifest(dataset)).to_pylist()
    clips = records(dataset)
    followed = [clip for clip in clips if clip.boxes is not None]
    assert followed
    assert [row["seed_source"] == PSEUDO for row in rows] == [clip.boxes is not None for clip in clips]
    for clip in followed:
        assert clip.boxes is not None and clip.visible == (True,) * clip.frames and not clip.labelled
        assert clip.boxes[0] == clip.seed_boxes[0].box and clip.seed_boxes[0].source == PSEUDO
        known = [box for box in clip.boxes if box is not None]
        assert 2 <= len(known) < clip.frames
        assert all(w > 0 and h > 0 and x < clip.width and y < clip.height for x, y, w, h in known)


def test_a_sample_has_the_boxes_of_the_seed_that_it_starts_from_and_of_no_other(dataset: str) -> None:
    loader = open_loader(
        [Dataset(dataset, load_manifest(dataset).digest, 1.0)],
        DataConfig(group_size=2, groups=1, n_search=2, max_gap=3, seed_choice="best"),
        1,
    )
    batches = [loader.group(step, 0) for step in range(6)]
    loader.close()
    assert any(bool(batch.boxes[:, 1:].isfinite().any()) for batch in batches)
    clip = next(clip for clip in records(dataset) if clip.boxes is not None)
    row = {"clip_id": clip.clip_id, "width": clip.width, "height": clip.height}
    picture = _jpeg(clip.width, clip.height)
    canvas = np.zeros((1, clip.height, clip.width, 3), np.uint8)
    own, other = clip.seed_boxes[0].box, (1.0, 1.0, 20.0, 20.0)
    for seed, known in ((own, True), (other, False)):
        drawn = paint(Choice(row, clip, [0], seed), lambda _: picture, canvas)
        assert bool(np.isfinite(drawn.boxes).all()) == known


def _jpeg(width: int, height: int) -> bytes:
    import simplejpeg

    return simplejpeg.encode_jpeg(np.zeros((height, width, 3), np.uint8))
