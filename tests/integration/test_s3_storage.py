"""Storage on a real S3 server: whole or not there, one winner under conditions, one sentence for each refusal."""

import os
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines import s3, storage
from pipelines.errors import SSTrackError
from pipelines.storage import MissingObject
from tests.s3 import Faults, S3Server, moto_s3


@pytest.fixture
def folder(s3_server: S3Server) -> str:
    return s3_server.url("storage", uuid.uuid4().hex)


def test_objects_are_put_read_listed_and_deleted(folder: str) -> None:
    one, two = storage.join(folder, "a", "one"), storage.join(folder, "two ü")
    storage.write_atomic(one, b"old")
    storage.write_atomic(one, b"0123456789")
    storage.write_atomic(two, b"")
    assert storage.list_files(folder) == [one, two]
    assert [each.size for each in storage.list_objects(folder)] == [10, 0]
    assert storage.read_bytes(one) == b"0123456789"
    assert storage.read_range(one, 3, 4) == b"3456"
    assert storage.read_range(one, 8, 100) == b"89"
    assert (storage.size(one), storage.size(two)) == (10, 0)
    assert storage.sha256_file(one) == "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
    assert storage.exists(one) and storage.exists(storage.join(folder, "a")) and storage.exists(two)
    storage.delete([one, two, storage.join(folder, "never was")])
    assert not storage.exists(one) and not storage.exists(folder)
    assert storage.read_if_exists(one) is None


def test_a_put_if_absent_keeps_what_is_there_and_has_one_winner(folder: str) -> None:
    uri = storage.join(folder, "name")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: storage.put_if_absent(uri, str(n).encode()), range(8)))
    assert sum(won) == 1
    assert storage.read_bytes(uri) == str(won.index(True)).encode()
    assert storage.list_files(folder) == [uri]


def test_of_many_swaps_from_the_same_state_one_wins(folder: str) -> None:
    uri = storage.join(folder, "HEAD")
    assert not storage.swap(uri, b"something", b"new")
    assert storage.swap(uri, None, b"first")
    assert not storage.swap(uri, None, b"second")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: storage.swap(uri, b"first", str(n).encode()), range(8)))
    assert sum(won) == 1
    assert storage.read_bytes(uri) == str(won.index(True)).encode()


@pytest.mark.parametrize("mib", [1, 40])
def test_a_large_file_goes_up_and_down_whole(mib: int, folder: str, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * mib + b"tail"
    uri = storage.join(folder, "file")
    for expected in (True, False):
        (tmp_path / "draft").write_bytes(data)
        assert storage.move_if_absent(tmp_path / "draft", uri) is expected
        assert not (tmp_path / "draft").exists()
    storage.download(uri, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    assert storage.sha256_file(uri) == storage.sha256_file(str(tmp_path / "copy"))
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_failed_large_upload_shows_nothing_and_leaves_no_upload_behind(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, start: int, size: int) -> bytes:
        if start:
            raise OSError(5, "the disk broke")
        return b"x" * size

    monkeypatch.setattr(s3, "_read_part", fail)
    (tmp_path / "draft").write_bytes(b"x" * (40 << 20))
    uri = storage.join(folder, "file")
    with pytest.raises(SSTrackError, match="the disk broke"):
        storage.move_if_absent(tmp_path / "draft", uri)
    assert not storage.exists(uri)
    assert s3.abort_uploads(folder, before=datetime.now(UTC) + timedelta(days=1)) == 0


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Server, Faults]]:
    with moto_s3() as (server, faults):
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("SSTRACK_S3_HONOURS_CONDITIONS", raising=False)
        yield server, faults


def test_a_store_that_ignores_conditions_is_refused_before_anything_is_written(moto: tuple[S3Server, Faults]) -> None:
    server, faults = moto
    uri = server.url("name")
    faults.ignores_conditions = True
    with pytest.raises(SSTrackError, match="ignores conditions on writes"):
        storage.put_if_absent(uri, b"data")
    with pytest.raises(SSTrackError, match="ignores conditions on writes"):
        storage.swap(uri, None, b"data")
    assert storage.list_files(server.url()) == []


def test_what_a_killed_process_left_of_the_trial_goes_with_the_next_one(moto: tuple[S3Server, Faults]) -> None:
    server, _ = moto
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr(s3, "delete", lambda uris: None)  # the kill comes before it
        assert storage.put_if_absent(server.url("folder", "first"), b"data")
    assert len(storage.list_files(server.url("folder"))) == 2
    os.environ.pop("SSTRACK_S3_HONOURS_CONDITIONS")
    assert storage.put_if_absent(server.url("folder", "second"), b"data")
    assert storage.list_files(server.url("folder")) == [server.url("folder", name) for name in ("first", "second")]


def test_a_busy_store_is_asked_again_and_one_that_stays_busy_is_an_error(
    moto: tuple[S3Server, Faults], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, faults = moto
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    faults.busy_for = 2
    storage.write_atomic(server.url("name"), b"data")
    assert faults.busy_for == 0
    faults.busy_for = 1000
    with pytest.raises(SSTrackError, match=r"s3://bucket/name: the store kept failing .* after all retries"):
        storage.read_bytes(server.url("name"))
    assert 1000 - faults.busy_for == 3
    faults.busy_for = 0
    assert storage.read_bytes(server.url("name")) == b"data"


def test_each_refusal_is_one_sentence_that_says_what_to_do(
    s3_server: S3Server, folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    def refused(words: str, uri: str = folder + "/name") -> None:
        for work in (storage.read_bytes, storage.list_files):
            with pytest.raises(SSTrackError, match=words) as caught:
                work(uri)
            assert uri in str(caught.value) and "\n" not in str(caught.value)

    with pytest.raises(MissingObject, match=r"there is no such object; check the address"):
        storage.read_bytes(folder + "/name")
    refused("there is no bucket no-such-bucket", "s3://no-such-bucket/name")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "stranger")
        refused(r"these keys \(.*\).*AWS_ACCESS_KEY_ID")
    with monkeypatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        refused("no keys for S3 were found; set AWS_ACCESS_KEY_ID")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
            refused(r"no connection to the store .*check AWS_ENDPOINT_URL")
            silent.listen()
            patch.setattr(s3, "_PATIENCE_S", 0.1)
            patch.setenv("AWS_PROFILE_FOR_THIS_TEST", "slow")  # a client of its own
            with pytest.raises(SSTrackError, match="did not answer in time"):
                storage.read_bytes(folder + "/name")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "no address")
        refused("no address")


def test_other_schemes_are_refused() -> None:
    with pytest.raises(SSTrackError, match=r"gs:// is not known here"):
        storage.read_bytes("gs://bucket/name")
