"""Training data on S3: the same samples as from disk, through faults; a bounded cache that processes share."""

import dataclasses
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from pipelines import storage
from pipelines.dataset.cache import ShardCache
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.manifest import Manifest, read_clips
from pipelines.dataset.member import require_room
from pipelines.dataset.orders.windowed import Windowed
from pipelines.dataset.reader import ShardReader
from pipelines.errors import SSTrackError
from sstrack.configs.data import DataConfig
from tests.dataset_factory import make_dataset
from tests.faulty_s3 import FaultyProxy, faulty_proxy
from tests.s3 import S3Server

CONFIG = DataConfig(group_size=4, groups=3, n_search=2)


@pytest.fixture(scope="module")
def remote(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Manifest]:
    uri = s3_server.url("loader")
    return uri, make_dataset(uri, tmp_path_factory.mktemp("scratch"))


@pytest.fixture
def proxy(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with faulty_proxy(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


def first_shard(manifest: Manifest) -> str:
    return manifest.shards[0].sha256


def test_an_epoch_from_s3_shows_every_clip_and_fetches_each_shard_once(
    remote: tuple[str, Manifest], work: Path
) -> None:
    uri, manifest = remote
    loader = ClipLoader([Dataset(uri, manifest.digest)], CONFIG, 1)
    seen = [clip for batch in loader.groups([(0, group) for group in range(3)]) for clip in batch.clip_ids]
    again = ClipLoader([Dataset(uri, manifest.digest)], CONFIG, 1)
    assert len(set(seen)) == 12
    assert torch.equal(again.group(0, 1).frames, loader.group(0, 1).frames)
    loader.close()
    assert sorted(path.stem for path in (work / "cache").glob("*.tar")) == sorted(s.sha256 for s in manifest.shards)
    again.close()


@pytest.mark.parametrize("fault", ["500", "503", "slow", "truncated", "wrong", "reset"])
def test_a_shard_comes_whole_through_faults(
    remote: tuple[str, Manifest], proxy: FaultyProxy, tmp_path: Path, fault: str
) -> None:
    uri, manifest = remote
    proxy.spoil(fault, 2)
    shard = first_shard(manifest)
    with os.fdopen(ShardCache(tmp_path, 1 << 30).open(uri, shard), "rb") as tar:
        data = tar.read()
    assert proxy.seen[fault] == (1 if fault == "slow" else 2)
    assert hashlib.sha256(data).hexdigest() == shard


def test_bytes_that_stay_wrong_are_never_named_and_end_with_a_reason(
    remote: tuple[str, Manifest], proxy: FaultyProxy, tmp_path: Path
) -> None:
    uri, manifest = remote
    proxy.spoil("wrong", 1000)
    with pytest.raises(SSTrackError, match=r"came 4 times with other bytes.*restore the shard"):
        ShardCache(tmp_path, 1 << 30).open(uri, first_shard(manifest))
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_the_cache_keeps_to_its_limit_and_drops_the_longest_unused(
    remote: tuple[str, Manifest], tmp_path: Path
) -> None:
    uri, manifest = remote
    one, two, three = (shard.sha256 for shard in manifest.shards)
    cache = ShardCache(tmp_path, sum(shard.bytes for shard in manifest.shards[:2]) + 100)
    for shard in (one, two, one, three):
        os.close(cache.open(uri, shard))
    assert {path.stem for path in tmp_path.glob("*.tar")} == {one, three}


def test_processes_share_one_fetch(remote: tuple[str, Manifest], tmp_path: Path) -> None:
    uri, manifest = remote
    script = (
        "import sys; from pathlib import Path; from pipelines.dataset.cache import ShardCache\n"
        f"cache = ShardCache(Path({str(tmp_path)!r}), 1 << 30)\n"
        f"cache.open({uri!r}, {first_shard(manifest)!r}); print(cache.fetched)\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(2)]
    assert sorted(int(child.communicate()[0]) for child in children) == [0, 1]


def test_fetches_at_the_same_time_keep_to_the_limit_together(
    remote: tuple[str, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, manifest = remote
    limit = manifest.shards[0].bytes + manifest.shards[1].bytes
    cache, most = ShardCache(tmp_path, limit), []
    download = storage.download

    def measured(uri: str, path: Path) -> None:
        held = {name.name.strip(".")[:64]: name.stat().st_size for name in tmp_path.glob("*.tar")}
        # what other threads hold may be renamed while we look: only our own is sure to stay
        most.append(sum(held.values()) + path.stat().st_size)
        download(uri, path)

    monkeypatch.setattr(storage, "download", measured)
    with ThreadPoolExecutor(6) as pool:
        for descriptor in pool.map(lambda n: cache.open(uri, manifest.shards[n % 3].sha256), range(24)):
            os.close(descriptor)
    assert len(most) >= 3 and max(most) <= limit
    assert sum(path.stat().st_size for path in tmp_path.glob("*.tar")) <= limit


def test_copies_that_the_cache_removed_are_let_go(remote: tuple[str, Manifest], tmp_path: Path) -> None:
    uri, manifest = remote
    cache = ShardCache(tmp_path, max(shard.bytes for shard in manifest.shards))
    sizes = {shard.sha256: shard.bytes for shard in manifest.shards}
    reader = ShardReader(uri, sizes, lambda shard: cache.open(uri, shard))
    for row in read_clips(uri, manifest).to_pylist():
        reader.clip(row["shard"], row["clip_id"], row["frames"]).frame(0)
        assert len(reader._open) == len(list(tmp_path.glob("*.tar"))) == 1


def test_a_process_killed_in_mid_download_leaves_nothing_that_counts(
    remote: tuple[str, Manifest], proxy: FaultyProxy, tmp_path: Path
) -> None:
    uri, manifest = remote
    proxy.spoil("slow", 1000)
    script = (
        "from pathlib import Path; from pipelines.dataset.cache import ShardCache\n"
        f"ShardCache(Path({str(tmp_path)!r}), 1 << 30).open({uri!r}, {first_shard(manifest)!r})\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script])
    while not list(tmp_path.glob(".*.tmp")):
        assert child.poll() is None
        time.sleep(0.01)
    child.kill()
    child.wait()
    assert list(tmp_path.glob("*.tar")) == [] and list(tmp_path.glob(".*"))
    proxy.spoil("", 0)
    cache = ShardCache(tmp_path, 1 << 30)
    for shard in manifest.shards[:2]:
        os.close(cache.open(uri, shard.sha256))
    assert list(tmp_path.glob(".*")) == []
    assert hashlib.sha256((tmp_path / f"{first_shard(manifest)}.tar").read_bytes()).hexdigest() == first_shard(manifest)


def test_a_shard_larger_than_the_cache_is_one_sentence(remote: tuple[str, Manifest], tmp_path: Path) -> None:
    with pytest.raises(SSTrackError, match=r"bytes and the whole cache may have 1000; raise SSTRACK_CACHE_BYTES"):
        ShardCache(tmp_path, 1000).open(remote[0], first_shard(remote[1]))


def test_datasets_that_need_more_cache_together_than_there_is_are_refused() -> None:
    wanted = {"s3://a": 50 << 30, "local": 0, "s3://b": 50 << 30}
    with pytest.raises(SSTrackError, match=r"s3://a, s3://b: 100\.0 GiB .* 64\.0; .*data\.order=windowed.*streaming"):
        require_room(wanted, "whole")
    with pytest.raises(SSTrackError, match=r"order windowed.*raise it, or train with --set data\.reading=streaming"):
        require_room(wanted, "windowed")


@pytest.fixture(scope="module")
def copies(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Manifest]:
    """The same 130 clips on disk and on S3."""
    folder = tmp_path_factory.mktemp("copies") / "dataset"
    manifest = make_dataset(str(folder), tmp_path_factory.mktemp("scratch"), shards=13, clips=10, sizes=((480, 360),))
    uri = s3_server.url("copies")
    for path in folder.rglob("*"):
        if path.is_file():
            storage.write_atomic(storage.join(uri, str(path.relative_to(folder))), path.read_bytes())
    return str(folder), uri, manifest


@pytest.mark.parametrize("order", ["whole", "windowed"])
def test_a_local_and_a_remote_copy_show_the_same_samples(
    copies: tuple[str, str, Manifest], work: Path, order: str
) -> None:
    here, there, manifest = copies
    config = DataConfig(group_size=16, groups=2, n_search=2, order=order)  # type: ignore[arg-type]
    wanted = [(step, group) for step in range(6) for group in range(2)]  # more than an epoch
    local, remote = (ClipLoader([Dataset(uri, manifest.digest)], config, 7) for uri in (here, there))
    for one, other in zip(local.groups(wanted), remote.groups(wanted), strict=True):
        assert one.clip_ids == other.clip_ids
        assert torch.equal(one.frames, other.frames) and torch.equal(one.seeds, other.seeds)
    local.close()
    remote.close()
    assert len(list((work / "cache").glob("*.tar"))) == len(manifest.shards)


def test_a_cache_that_holds_two_windows_is_enough_for_the_windowed_order(
    copies: tuple[str, str, Manifest], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, there, manifest = copies
    monkeypatch.setattr(Windowed.__init__, "__defaults__", (5, 2))
    # Two windows of two stretches of five clips, in shards of ten.
    monkeypatch.setenv("SSTRACK_CACHE_BYTES", str(4 * max(shard.bytes for shard in manifest.shards)))
    config = DataConfig(group_size=13, groups=2, n_search=1, order="windowed")
    loader = ClipLoader([Dataset(there, manifest.digest)], config, 7)
    shown = [clip for batch in loader.groups([(step, group) for step in range(5) for group in range(2)])
             for clip in batch.clip_ids]  # fmt: skip
    loader.close()
    assert len(set(shown)) == len(shown) == 130
    assert len(list((work / "cache").glob("*.tar"))) <= 4
    with pytest.raises(SSTrackError, match=r"GiB of cache are needed to show their clips in the order whole"):
        ClipLoader([Dataset(there, manifest.digest)], dataclasses.replace(config, order="whole"), 7)


def test_a_shard_that_is_not_there_is_one_sentence(remote: tuple[str, Manifest], tmp_path: Path) -> None:
    with pytest.raises(SSTrackError, match=storage.join(remote[0], "shards")):
        ShardCache(tmp_path, 1 << 30).open(remote[0], "0" * 64)
