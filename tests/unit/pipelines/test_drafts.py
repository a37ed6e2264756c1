"""What is written has its final name whole or not at all: after a kill in the middle, on a full disk, beside others."""

import errno
import os
import resource
import signal
import time
from collections import UserDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.local_files import remove_drafts
from pipelines.tracking.boxes_out import BoxesOut
from pipelines.training.packages import put_package
from sstrack.recipes import recipe

LIMIT = 64 << 10
"""Bytes that a file may have on the full disk."""


def write_file(path: Path, size: int, pause: Callable[[], object] = lambda: None) -> None:
    with storage.new_file(path) as draft, draft.open("wb", buffering=0) as file:
        write(file.fileno(), size // 2)
        pause()
        write(file.fileno(), size // 2)


def write_folder(path: Path, size: int, pause: Callable[[], object] = lambda: None) -> None:
    with storage.new_folder(path) as draft:
        (draft / "below").mkdir()
        (draft / "below" / "one").write_bytes(bytes(size))
        pause()
        (draft / "two").write_bytes(bytes(size))


def write_once(path: Path, size: int, pause: Callable[[], object] = lambda: None) -> None:
    with storage.draft(path.parent / "scratch" / "draft") as draft:
        draft.write_bytes(bytes(size))
        pause()
        storage.move_if_absent(draft, str(path))


def write_boxes(path: Path, size: int, pause: Callable[[], object] = lambda: None) -> None:
    with BoxesOut([path.with_name("first"), path]) as boxes:
        for number in range(size // 24):
            boxes.add([(1, 2, 3, 4), (100.5, 200.5, 30.25, float(number))])
        pause()


def write_package(path: Path, size: int, pause: Callable[[], object] = lambda: None) -> None:
    class Slow(UserDict[str, object]):  # a dict is copied without asking for its keys
        def keys(self):
            pause()
            return super().keys()

    put_package(str(path), linear(size // 8), recipe("tiny_cpu"), Slow(size=size))


def linear(inputs: int) -> Any:
    return nn.Linear(inputs, 2)


WRITERS = {each.__name__: each for each in (write_file, write_folder, write_once, write_boxes, write_package)}


def write_half(name: str, path: Path, half: Event) -> None:
    """In a child process: set `half` in the middle of the work, and wait for the end."""

    def pause() -> None:
        half.set()
        time.sleep(600)

    WRITERS[name](path, 4000, pause)


def write(descriptor: int, size: int) -> None:
    """All of it: a disk that fills takes a part first."""
    while size:
        size -= os.write(descriptor, bytes(size))


@contextmanager
def full_disk() -> Iterator[None]:
    """Files end at LIMIT bytes, as the kernel sees to it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name != "scratch"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_killed_writer_leaves_no_final_name_and_its_draft_is_cleared(name: str, tmp_path: Path) -> None:
    context = get_context("forkserver")  # forks of a process that has imported all this once
    context.set_forkserver_preload([__name__])
    half = context.Event()
    writer = context.Process(target=write_half, args=(name, tmp_path / "final", half))
    writer.start()
    assert half.wait(300)
    writer.kill()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    assert left(tmp_path) and not (tmp_path / "final").exists()
    remove_drafts(tmp_path)
    assert left(tmp_path) == []
    WRITERS[name](tmp_path / "final", 4000)
    assert (tmp_path / "final").exists()


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    with full_disk(), pytest.raises(SSTrackError) as caught:
        WRITERS[name](tmp_path / "final", 4 * LIMIT)
    assert str(caught.value).startswith("no space left to write ") and "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value) and ".tmp" not in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_finished_is_whole_readable_and_alone(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "final", 4000)
    assert not [path for path in left(tmp_path) if path.name.endswith(".tmp")]
    umask = os.umask(0)
    os.umask(umask)
    for path in left(tmp_path):
        assert path.is_dir() or path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "reset"), FileNotFoundError(2, "none", "/x")])
def test_what_breaks_the_block_and_is_not_the_disks_passes_as_it_is(error: OSError, tmp_path: Path) -> None:
    (tmp_path / "final").write_text("old")
    with pytest.raises(type(error)) as caught, storage.new_file(tmp_path / "final") as draft:
        draft.write_text("new")
        raise error
    assert caught.value is error
    assert (tmp_path / "final").read_text() == "old" and left(tmp_path) == [tmp_path / "final"]


def test_a_folder_in_the_way_is_refused_kept_or_replaced(tmp_path: Path) -> None:
    final = tmp_path / "final"

    def put(word: str, there: storage.There = "refuse") -> str:
        with storage.new_folder(final, there) as draft:
            (draft / word).touch()
        return ",".join(path.name for path in final.iterdir())

    assert put("one") == "one"
    with pytest.raises(SSTrackError, match="final is there already; remove it"):
        put("two")
    assert put("three", "keep") == "one"
    assert put("four", "replace") == "four"
    assert left(tmp_path) == [final, final / "four"]
    (tmp_path / "file").touch()
    final = tmp_path / "file"
    with pytest.raises(SSTrackError, match="a file stands where a folder is needed"):
        put("five", "replace")
    assert final.is_file()


def test_a_package_is_replaced_whole(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        net = linear(2)
        torch.nn.init.constant_(net.weight, value)
        put_package(str(tmp_path / "final"), net, recipe("tiny_cpu"), {"value": value})
    assert {path.name for path in tmp_path.iterdir()} == {"final"}
    assert '"value": 2.0' in (tmp_path / "final" / "config.json").read_text()
