"""The loader on real video: the same groups whoever asks, pictures equal to the stored ones, clear refusals."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.dataset.dataset import Dataset
from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.manifest import load_manifest, read_clips
from pipelines.errors import SSTrackError
from sstrack.configs.data import DataConfig

CONFIG = DataConfig(group_size=3, groups=2, n_search=2)


def open_loader(dataset: Path, config: DataConfig = CONFIG, seed: int = 5) -> ClipLoader:
    return ClipLoader([Dataset(str(dataset), load_manifest(str(dataset)).digest)], config, seed)


@pytest.fixture(scope="module")
def loader(real_dataset: Path) -> ClipLoader:
    return open_loader(real_dataset, CONFIG)


def test_groups_are_the_same_whoever_asks_and_in_whatever_order(real_dataset: Path, loader: ClipLoader) -> None:
    wanted = [(step, group) for step in range(4) for group in range(2)]
    straight = dict(zip(wanted, loader.groups(wanted), strict=True))
    other = open_loader(real_dataset, CONFIG)
    for key in reversed(wanted):
        batch = other.group(*key)
        assert batch.clip_ids == straight[key].clip_ids
        assert torch.equal(batch.frames, straight[key].frames) and torch.equal(batch.seeds, straight[key].seeds)


def test_an_epoch_shows_every_clip_once(loader: ClipLoader) -> None:
    full = len(loader) // CONFIG.group_size
    seen = [clip for number in range(full) for clip in loader.group(*divmod(number, 2)).clip_ids]
    assert len(set(seen)) == len(seen) == full * CONFIG.group_size


def test_the_first_picture_is_the_clips_first_stored_frame(real_dataset: Path, loader: ClipLoader) -> None:
    batch = loader.group(0, 0)
    manifest = load_manifest(str(real_dataset))
    rows = {row["clip_id"]: row for row in read_clips(str(real_dataset), manifest).to_pylist()}
    for i, clip_id in enumerate(batch.clip_ids):
        row = rows[clip_id]
        with tarfile.open(real_dataset / "shards" / f"{row['shard']}.tar") as tar:
            member = tar.extractfile(f"{clip_id}.0000.jpg")
            assert member is not None
            stored = np.asarray(Image.open(io.BytesIO(member.read())).convert("RGB"), np.int16)
        ours = batch.frames[i, 0, :, : row["height"], : row["width"]].permute(1, 2, 0).numpy().astype(np.int16)
        assert np.abs(ours - stored).mean() < 2
        x, y, w, h = batch.seeds[i].tolist()
        assert x >= 0 and y >= 0 and x + w <= row["width"] + 0.01 and y + h <= row["height"] + 0.01


def test_batches_are_bytes_on_one_canvas(loader: ClipLoader) -> None:
    batch = loader.group(1, 1)
    height, width = batch.frames.shape[-2:]
    assert batch.frames.dtype == torch.uint8 and batch.frames.shape[:3] == (3, 3, 3)
    assert (batch.sizes <= torch.tensor([width, height])).all()


def test_too_few_clips_for_a_group_is_refused(real_dataset: Path) -> None:
    with pytest.raises(SSTrackError, match=r"clips with a seed box.*--set data.group_size="):
        open_loader(real_dataset, DataConfig(group_size=500))


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SSTrackError, match="holds no published dataset"):
        load_manifest(str(tmp_path))
