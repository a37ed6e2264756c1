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


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.ENOTSUP])
def test_a_finished_file_gets_its_name_on_disks_without_links_and_from_other_disks(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, calls = os.link, []

    def refuse(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 1:
            raise OSError(number, os.strerror(number))
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "draft").write_bytes(b"whole")
    assert storage.move_if_absent(tmp_path / "draft", str(tmp_path / "there" / "final"))
    assert storage.read_bytes(str(tmp_path / "there" / "final")) == b"whole"
    assert storage.list_files(str(tmp_path)) == [str(tmp_path / "there" / "final")]


def test_a_swap_needs_the_bytes_that_it_names(tmp_path: Path) -> None:
    uri = storage.join(str(tmp_path), "HEAD")
    assert not storage.swap(uri, b"old", b"new")
    assert storage.swap(uri, None, b"old")
    assert not storage.swap(uri, None, b"new")
    assert storage.swap(uri, b"old", b"new")
    assert (storage.read_bytes(uri), storage.list_files(str(tmp_path))) == (b"new", [uri])
