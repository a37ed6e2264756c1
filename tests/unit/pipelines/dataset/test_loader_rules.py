"""The loader on small drawn datasets: labels, canvases, mixtures, reused memory, and what it does about damage."""

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.dataset import modes, substitute
from pipelines.dataset.commit import Tables, publish_child, read_tables
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.manifest import Manifest
from pipelines.dataset.samples import UnusableSample, choose_frames
from pipelines.errors import SSTrackError
from sstrack.configs.data import DataConfig
from sstrack.objectives.base import ClipBatch
from tests.dataset_factory import make_dataset

CONFIG = DataConfig(group_size=2, groups=3, n_search=3)
WORLDS = DataConfig(group_size=2, groups=8, n_search=1)


def open_loader(folder: Path, manifest: Manifest, config: DataConfig = CONFIG, **more: float) -> ClipLoader:
    return ClipLoader([Dataset(str(folder), manifest.digest)], config, 1, **more)


def shard_of(folder: Path) -> Path:
    return sorted((folder / "shards").glob("*.tar"))[0]


def test_labels_of_later_frames_and_a_late_start_reach_the_sample(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", labelled=True, first_visible=2)
    batch = open_loader(tmp_path, manifest).group(0, 0)
    green = batch.frames[..., 1, 20, 30].float() / 20
    assert (green[:, 0].round() == 2).all()
    torch.testing.assert_close(batch.boxes[..., 0], 2 + green.round())
    torch.testing.assert_close(batch.seeds, batch.boxes[:, 0])


def test_clips_without_labels_have_none(tmp_path: Path) -> None:
    batch = open_loader(tmp_path, make_dataset(str(tmp_path), tmp_path / "s")).group(0, 0)
    assert batch.boxes.isnan().all() and (batch.seeds == torch.tensor([1.0, 2, 10, 8])).all()


def test_ranked_seeds_show_more_than_the_best(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s")
    loader = open_loader(tmp_path, manifest, DataConfig(group_size=4, groups=3, n_search=1, seed_choice="ranked"))
    seen = {tuple(seed.tolist()) for group in range(3) for seed in loader.group(0, group).seeds}
    assert seen == {(1.0, 2.0, 10.0, 8.0), (5.0, 6.0, 9.0, 7.0)}


def test_frames_larger_than_the_canvas_come_at_half_size_with_their_boxes(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", sizes=((64, 48), (100, 70)))
    config = DataConfig(group_size=4, groups=3, n_search=1, canvas_width=64, canvas_height=48)
    batches = list(open_loader(tmp_path, manifest, config).groups([(0, group) for group in range(3)]))
    halves = 0
    for batch in batches:
        assert batch.frames.shape[-2:] == (48, 64)
        for size, seed, frames in zip(batch.sizes.tolist(), batch.seeds, batch.frames, strict=True):
            half = size == [50, 35]
            halves += half
            assert half or size == [64, 48]
            torch.testing.assert_close(seed, torch.tensor([1.0, 2, 10, 8]) * (0.5 if half else 1))
            assert half == bool((frames[:, :, 35:] == 0).all()) == bool((frames[:, :, :, 50:] == 0).all())
    assert halves == 6


def test_mixtures_are_drawn_by_weight_and_the_same_again(tmp_path: Path) -> None:
    one = make_dataset(str(tmp_path / "one"), tmp_path / "s", labelled=True)
    two = make_dataset(str(tmp_path / "two"), tmp_path / "s")
    config = DataConfig(group_size=16, groups=1, n_search=1)
    datasets = [Dataset(str(tmp_path / "one"), one.digest, 3.0), Dataset(str(tmp_path / "two"), two.digest, 1.0)]
    wanted = [(step, 0) for step in range(64)]
    first, again = (ClipLoader(datasets, config, 1).groups(wanted) for _ in range(2))
    labelled = 0
    for a, b in zip(first, again, strict=True):
        assert a.clip_ids == b.clip_ids and torch.equal(a.frames, b.frames)
        labelled += int(a.boxes[:, 0, 0].isfinite().sum())
    assert labelled == 768


def test_batches_that_are_held_stay_as_they_were_and_dropped_ones_give_their_memory_back(tmp_path: Path) -> None:
    loader = open_loader(tmp_path, make_dataset(str(tmp_path), tmp_path / "s"))
    held = loader.group(0, 0)
    before, place = held.frames.clone(), held.frames.data_ptr()
    view = held.frames[0, 0]
    for step in range(1, 6):
        assert loader.group(step, 0).frames.data_ptr() != place
    assert torch.equal(held.frames, before)
    del held
    gc.collect()
    assert all(loader.group(step, 0).frames.data_ptr() != place for step in range(3))
    del view
    gc.collect()
    kept = [loader.group(step, 0).frames for step in range(8)]
    assert place in {frames.data_ptr() for frames in kept}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, dict[tuple[int, int], ClipBatch]]:
    """A dataset, and all groups of six steps as one process reads them."""
    folder = tmp_path_factory.mktemp("worlds")
    dataset = Dataset(str(folder), make_dataset(str(folder), folder / "s", shards=5, clips=7).digest)
    wanted = [(step, group) for step in range(6) for group in range(8)]
    return dataset, dict(zip(wanted, ClipLoader([dataset], WORLDS, 1).groups(wanted), strict=True))


@settings(max_examples=12)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 4)), min_size=3, max_size=3))
@example([(8, 1), (3, 4), (4, 2)])
def test_worlds_that_change_in_mid_epoch_with_any_number_of_threads_see_the_same_groups(
    worlds: tuple[Dataset, dict[tuple[int, int], ClipBatch]], plan: list[tuple[int, int]]
) -> None:
    dataset, alone = worlds
    left = set(alone)
    for part, (world, threads) in enumerate(plan):
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SSTRACK_LOADER_THREADS", str(threads))
            loaders = [ClipLoader([dataset], WORLDS, 1) for _ in range(world)]
        for rank, loader in enumerate(loaders):
            mine = [(step, group) for step in (2 * part, 2 * part + 1) for group in range(rank, 8, world)]
            for key, batch in zip(mine, loader.groups(mine), strict=True):
                left.remove(key)
                assert batch.clip_ids == alone[key].clip_ids and torch.equal(batch.frames, alone[key].frames)
            loader.close()
    assert not left


def test_only_the_frames_of_a_sample_are_read(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", frames=60, sizes=((320, 240),))
    loader = open_loader(tmp_path, manifest)
    loader.group(0, 0)
    assert loader.bytes_read < manifest.totals.bytes / 60


def damage(folder: Path, offset: int, size: int) -> None:
    tar = shard_of(folder)
    data = bytearray(tar.read_bytes())
    data[offset : offset + size] = bytes(size)
    tar.write_bytes(data)


def test_a_damaged_clip_gives_way_to_the_same_other_each_time_and_is_counted(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", clips=8, frames=2)
    whole = open_loader(tmp_path, manifest)
    wanted = [(step, group) for step in range(4) for group in range(3)]
    before = {key: whole.group(*key).clip_ids for key in wanted}
    damage(tmp_path, 512, 300)
    one, two = open_loader(tmp_path, manifest), open_loader(tmp_path, manifest)
    replaced = 0
    for key in wanted:
        batch = one.group(*key)
        assert batch.clip_ids == two.group(*key).clip_ids
        replaced += sum(a != b for a, b in zip(batch.clip_ids, before[key], strict=True))
    assert one.replaced.reasons == two.replaced.reasons == {"damaged": 1}
    assert replaced == 1
    assert one.replaced.share_damaged == 1 / one.replaced.samples and one.replaced.share_unusable == 0


def test_too_much_damage_stops_with_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s")
    for tar in (tmp_path / "shards").glob("*.tar"):
        tar.write_bytes(bytes(tar.stat().st_size))
    loader = open_loader(tmp_path, manifest)
    with pytest.raises(SSTrackError, match=r"(9|1\d) of \d+ samples were damaged.*sstrack dataset verify"):
        loader.group(0, 0)
    loader.close()  # its other threads still warn of what they read
    assert substitute.FLOOR == 8


def test_a_tar_of_another_size_than_the_manifest_says_is_one_sentence(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", shards=1, clips=6)
    shard_of(tmp_path).write_bytes(shard_of(tmp_path).read_bytes()[:-600])
    with pytest.raises(SSTrackError, match=r"the manifest says \d+ .*restore the shard"):
        open_loader(tmp_path, manifest).group(0, 0)


def test_a_foreign_index_is_one_sentence(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s")
    indexes = sorted((tmp_path / "shards").glob("*.idx"))
    indexes[0].write_bytes(indexes[1].read_bytes())
    loader = open_loader(tmp_path, manifest)
    with pytest.raises(SSTrackError, match=r"the index of shard .* does not hold|its index reaches to"):
        list(loader.groups([(step, group) for step in range(2) for group in range(3)]))


def test_a_damaged_index_is_one_sentence(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", shards=1, clips=6)
    next((tmp_path / "shards").glob("*.idx")).write_bytes(b"SSTIDX1\nnothing")
    with pytest.raises(SSTrackError, match="is damaged"):
        open_loader(tmp_path, manifest).group(0, 0)
    header = b'{"1": 2}'
    next((tmp_path / "shards").glob("*.idx")).write_bytes(b"SSTIDX1\n" + len(header).to_bytes(8, "little") + header)
    with pytest.raises(SSTrackError, match="is damaged"):
        open_loader(tmp_path, manifest).group(0, 0)


@pytest.mark.parametrize("reading", ["random", "streaming"])
def test_a_missing_and_a_damaged_manifest_are_one_sentence_in_both_modes(tmp_path: Path, reading: str) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s")
    config = DataConfig(group_size=2, groups=3, reading=reading)  # type: ignore[arg-type]
    file = tmp_path / "manifests" / f"{manifest.digest}.json"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(SSTrackError, match="is damaged"):
        modes.open_loader([Dataset(str(tmp_path), manifest.digest)], config, 1)
    file.unlink()
    with pytest.raises(SSTrackError, match="has no manifest"):
        modes.open_loader([Dataset(str(tmp_path), manifest.digest)], config, 1)


def test_a_dataset_without_clips_is_refused_in_a_mixture(tmp_path: Path) -> None:
    whole = make_dataset(str(tmp_path), tmp_path / "s")
    tables = read_tables(str(tmp_path), whole)
    none = publish_child(
        str(tmp_path),
        whole,
        Tables(tables.clips.slice(0, 0), tables.rejects, tables.sources),
        whole.shards,
        {},
        "c",
        {},
    )
    with pytest.raises(SSTrackError, match="no clip with a seed box for training, so it can give nothing to a mixture"):
        ClipLoader([Dataset(str(tmp_path), each.digest) for each in (whole, none)], CONFIG, 1)


def test_a_foreign_manifest_is_refused(tmp_path: Path) -> None:
    make_dataset(str(tmp_path / "a"), tmp_path / "s")
    other = make_dataset(str(tmp_path / "b"), tmp_path / "s", clips=5)
    with pytest.raises(SSTrackError, match="has no manifest"):
        open_loader(tmp_path / "a", other)


def test_fewer_clips_than_the_global_batch_are_refused(tmp_path: Path) -> None:
    manifest = make_dataset(str(tmp_path), tmp_path / "s", shards=1, clips=5)
    with pytest.raises(SSTrackError, match=r"5 clips with a seed box, and the global batch takes 6"):
        open_loader(tmp_path, manifest)


def test_storage_that_does_not_answer_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = open_loader(tmp_path, make_dataset(str(tmp_path), tmp_path / "s"), patience_s=0.05)
    from threading import Event

    never = Event()
    monkeypatch.setattr(loader._members[0].reader, "_fetch", lambda shard: never.wait(20) and 1 // 0)
    try:
        with pytest.raises(SSTrackError, match="no batch came within"):
            loader.group(0, 0)
    finally:
        never.set()


def test_frames_are_drawn_among_visible_ones_within_a_gap_that_grows() -> None:
    rng = np.random.default_rng(0)
    visible = [False, True, False, False, True, True, *[False] * 20, True]
    for _ in range(50):
        first, *later = choose_frames(visible, 3, 4, rng)
        assert first == 1 and set(later) <= {4, 5} and later == sorted(later)
    assert choose_frames([True, *[False] * 20, True], 2, 1, rng) == [0, 21, 21]
    with pytest.raises(UnusableSample, match="no visible frame"):
        choose_frames([True, *[False] * 200, True], 2, 1, rng)
    with pytest.raises(UnusableSample, match="never visible"):
        choose_frames([False] * 5, 2, 1, rng)
