"""Streaming from S3: the same batches for every rank of any world through faults, and a cache that keeps its bound."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.dataset.manifest import Manifest
from pipelines.errors import SSTrackError
from tests.dataset_factory import make_dataset
from tests.faulty_s3 import FaultyProxy, faulty_proxy
from tests.s3 import S3Server
from tests.stream_ranks import CONFIG, Seen, read_as

STEPS = 8
"""Two samples a step: 16 samples are two thirds of an epoch of 4 shards with 3 clips, two samples each."""
SMALL = 1 << 20
"""The smallest cache: one of the shards at a time."""


@pytest.fixture(scope="module")
def remote(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Manifest]:
    uri = s3_server.url("streamed")
    manifest = make_dataset(uri, tmp_path_factory.mktemp("scratch"), shards=4, clips=3, frames=20, sizes=((640, 480),))
    assert all(SMALL / 2 < shard.bytes < SMALL for shard in manifest.shards)
    return uri, manifest


@pytest.fixture(scope="module")
def straight(remote: tuple[str, Manifest], tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """All batches, read in one go by one process with room for everything."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSTRACK_WORK", str(tmp_path_factory.mktemp("straight")))
        seen, fetched = read_as(0, 1, remote[0], remote[1].digest, 0, STEPS)
    assert len(seen) == STEPS * CONFIG.groups and fetched == len(remote[1].shards)
    return seen


@pytest.fixture
def proxy(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with faulty_proxy(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


def held(cache: Path) -> int:
    """Bytes of the cache: shards, and what is reserved for those on their way."""
    sizes = {}
    for path in [*cache.glob("*.tar"), *cache.glob(".*.draft")]:
        try:
            sizes[path.name.strip(".")[:64]] = path.stat().st_size
        except FileNotFoundError:  # removed between the two calls
            continue
    return sum(sizes.values())


def three_processes() -> Executor:
    return ProcessPoolExecutor(3, multiprocessing.get_context("spawn"))


@pytest.mark.parametrize(
    "ranks",
    [
        pytest.param(lambda: ThreadPoolExecutor(3), id="threads"),
        pytest.param(three_processes, id="processes", marks=pytest.mark.soak),  # each imports torch
    ],
)
def test_three_ranks_that_resume_in_mid_stream_see_the_same_through_faults_and_one_small_cache(
    remote: tuple[str, Manifest],
    straight: Seen,
    proxy: FaultyProxy,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    ranks: Callable[[], Executor],
) -> None:
    uri, manifest = remote
    monkeypatch.setenv("SSTRACK_CACHE_BYTES", str(SMALL))
    proxy.spoil("truncated", 3)
    most, first = 0, 3
    with ranks() as pool:
        answers = [pool.submit(read_as, rank, 3, uri, manifest.digest, first, STEPS) for rank in range(3)]
        while not all(answer.done() for answer in answers):
            most = max(most, held(work / "cache"))
            time.sleep(0.003)
    seen = [answer.result()[0] for answer in answers]
    assert [len(each) for each in seen] == [STEPS - first] * 3
    assert {key: batch for each in seen for key, batch in each.items()} == {
        key: batch for key, batch in straight.items() if key[0] >= first
    }
    assert proxy.seen["truncated"] == 3
    assert 0 < most <= SMALL


@pytest.mark.parametrize("fault", ["500", "503", "slow", "wrong", "reset"])
def test_a_stream_goes_on_through_faults(
    remote: tuple[str, Manifest], straight: Seen, proxy: FaultyProxy, work: Path, fault: str
) -> None:
    proxy.spoil(fault, 2)
    seen, _ = read_as(2, 3, remote[0], remote[1].digest, 5, 7)
    assert seen == {key: straight[key] for key in ((5, 2), (6, 2))}
    assert proxy.seen[fault] > 0


def test_a_stream_alone_fetches_each_shard_once_an_epoch_even_where_only_one_fits(
    remote: tuple[str, Manifest], straight: Seen, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSTRACK_CACHE_BYTES", str(SMALL))
    seen, fetched = read_as(0, 3, remote[0], remote[1].digest, 0, STEPS)
    assert seen.items() <= straight.items()
    assert fetched <= len(remote[1].shards)


def test_bytes_that_stay_wrong_end_the_stream_with_a_reason(
    remote: tuple[str, Manifest], proxy: FaultyProxy, work: Path
) -> None:
    proxy.spoil("wrong", 1000)
    with pytest.raises(SSTrackError, match=r"came 4 times with other bytes.*restore the shard"):
        read_as(0, 3, remote[0], remote[1].digest, 0, 1)
    assert list((work / "cache").glob("*.tar")) == []


def test_a_cache_smaller_than_a_shard_is_refused(
    s3_server: S3Server, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = s3_server.url("large")
    manifest = make_dataset(uri, tmp_path, shards=1, clips=6, frames=20, sizes=((640, 480),))
    monkeypatch.setenv("SSTRACK_CACHE_BYTES", str(SMALL))
    with pytest.raises(SSTrackError, match=r"has a shard of 1\.\d MiB, and SSTRACK_CACHE_BYTES allows a cache of 1\.0"):
        read_as(0, 1, uri, manifest.digest, 0, 1)
