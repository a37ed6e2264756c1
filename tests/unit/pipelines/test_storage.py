"""Storage: puts are whole or not there, never overwrite where they must not, and say what to do when refused."""

import errno
import os
from pathlib import Path

import pytest

from pipelines import storage
from pipelines.errors import SSTrackError


def test_a_put_replaces_whole_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    uri = storage.join(str(tmp_path), "a", "HEAD")
    storage.write_atomic(uri, b"one")
    storage.write_atomic(uri, b"two")
    assert storage.read_bytes(uri) == b"two"
    assert storage.list_files(str(tmp_path)) == [uri]


def test_a_put_if_absent_keeps_what_is_there(tmp_path: Path) -> None:
    uri = storage.join(str(tmp_path), "name")
    assert storage.put_if_absent(uri, b"first")
    assert not storage.put_if_absent(uri, b"second")
    assert storage.read_bytes(uri) == b"first"
    assert storage.list_files(str(tmp_path)) == [uri]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "free some space"), (errno.EACCES, "get the permission"), (errno.EROFS, "another folder")],
)
def test_a_disk_that_refuses_is_explained_and_nothing_partial_stays(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    uri = storage.join(str(tmp_path), "name")
    for put in (storage.write_atomic, storage.put_if_absent):
        with pytest.raises(SSTrackError, match=words) as caught:
            put(uri, b"bytes")
        assert uri in str(caught.value)
    assert storage.list_files(str(tmp_path)) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SSTrackError, match="there is no such file"):
        storage.read_bytes(str(tmp_path / "nothing"))
