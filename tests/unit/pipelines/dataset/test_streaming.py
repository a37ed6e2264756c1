"""Streaming: the same batches wherever one begins, each clip as often as the next, membership by the clips table."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from webdataset import WebDataset  # type: ignore[attr-defined]

from pipelines.dataset.commit import Tables, publish_child, read_tables
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.manifest import Manifest
from pipelines.dataset.modes import open_loader, recommended_mode
from pipelines.dataset.streaming import StreamLoader
from pipelines.errors import SSTrackError
from sstrack.configs.data import DataConfig
from tests import seams
from tests.dataset_factory import make_dataset

CONFIG = DataConfig(group_size=2, groups=3, n_search=2, reading="streaming", stream_per_clip=2, stream_shuffle=5)


def open_stream(folder: Path, manifest: Manifest) -> StreamLoader:
    return StreamLoader(Dataset(str(folder), manifest.digest), CONFIG, 1)


def test_a_resumed_stream_goes_on_with_the_same_batches_for_any_world(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s")
    wanted = [(step, group) for step in range(8) for group in range(3)]
    straight = dict(zip(wanted, open_stream(tmp_path, manifest).groups(wanted), strict=True))
    for first, world in ((3, 1), (5, 2)):
        for rank in range(world):
            mine = [(step, group) for step in range(first, 8) for group in range(rank, 3, world)]
            for key, batch in zip(mine, open_stream(tmp_path, manifest).groups(mine), strict=True):
                assert batch.clip_ids == straight[key].clip_ids
                assert torch.equal(batch.frames, straight[key].frames)


def test_each_clip_comes_as_often_as_the_next(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", shards=2, clips=5)
    loader = open_stream(tmp_path, manifest)
    seen = Counter(clip for batch in loader.groups([(step, 1) for step in range(20)]) for clip in batch.clip_ids)
    assert set(seen.values()) == {4} and len(seen) == 10


def test_clips_that_the_table_leaves_out_are_passed_over(tmp_path: Path) -> None:
    parent = make_dataset(str(tmp_path), tmp_path / "s")
    tables = read_tables(str(tmp_path), parent)
    kept = Tables(tables.clips.slice(3), tables.rejects, tables.sources)
    manifest = publish_child(str(tmp_path), parent, kept, parent.shards, {}, "config", {})
    loader = open_stream(tmp_path, manifest)
    seen = {clip for batch in loader.groups([(step, 0) for step in range(20)]) for clip in batch.clip_ids}
    assert seen == set(kept.clips["clip_id"].to_pylist())


def test_a_cut_tar_is_one_sentence(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", shards=1, clips=6)
    tar = next((tmp_path / "shards").glob("*.tar"))
    tar.write_bytes(tar.read_bytes()[:9000])
    with pytest.raises(SSTrackError, match=r"is damaged .*restore it from a copy"):
        list(open_stream(tmp_path, manifest).groups([(step, 0) for step in range(9)]))


def test_damaged_pictures_give_way_and_are_counted(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", frames=2)
    tar = sorted((tmp_path / "shards").glob("*.tar"))[0]
    data = bytearray(tar.read_bytes())
    data[512:700] = bytes(188)
    tar.write_bytes(data)
    wanted = [(step, 0) for step in range(12)]
    one, two = open_stream(tmp_path, manifest), open_stream(tmp_path, manifest)
    for a, b in zip(one.groups(wanted), two.groups(wanted), strict=True):
        assert a.clip_ids == b.clip_ids and torch.equal(a.frames, b.frames)
    assert one.replaced.reasons["damaged"] > 0


def test_the_library_is_kept_from_running_commands(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s")
    open_stream(tmp_path, manifest).group(0, 0)
    with pytest.raises(ValueError, match="pipe"):
        list(WebDataset([f"pipe:touch {tmp_path}/ran"], shardshuffle=False))
    assert not (tmp_path / "ran").exists()


def test_the_mode_comes_from_the_recipe_and_a_mixture_cannot_be_streamed(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s")
    one = Dataset(str(tmp_path), manifest.digest)
    assert isinstance(open_loader([one], CONFIG, 1), StreamLoader)
    with pytest.raises(SSTrackError, match="cannot be streamed together"):
        open_loader([one, one], CONFIG, 1)


def test_the_recommended_mode_goes_by_place_size_and_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", shards=8, clips=1, frames=30, sizes=((400, 300),))
    assert recommended_mode(manifest, 2, 2)[0] == "random"
    assert recommended_mode(manifest, 2, 2, remote=True)[0] == "random"
    monkeypatch.setattr(seams.LOADER_SETTINGS, lambda: type("Small", (), {"cache_bytes": 1000})())
    mode, reason = recommended_mode(manifest, 2, 2, remote=True)
    assert mode == "streaming" and "exceed the cache" in reason
    assert recommended_mode(manifest, 4, 2, remote=True)[0] == "random"


def test_the_recommendation_needs_no_torch() -> None:
    script = (
        "import sys; from pipelines.dataset.modes import recommended_mode\n"
        "assert not {'torch', 'webdataset'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
