"""Threads of the loader: work in order, and none that is stuck keeps a process from ending."""

import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from pipelines.dataset.dataset import Dataset
from pipelines.dataset.manifest import Manifest
from pipelines.dataset.modes import open_loader
from pipelines.dataset.streaming import StreamLoader
from pipelines.dataset.threads import Threads
from pipelines.errors import SSTrackError
from sstrack.configs.data import DataConfig
from tests.dataset_factory import make_dataset

CONFIG = DataConfig(group_size=2, groups=1, n_search=1, reading="streaming", stream_shuffle=2)


def test_results_and_errors_reach_who_asks() -> None:
    threads = Threads(2, "test")
    results = [threads.submit(divmod, 7, number) for number in (2, 0, 4)]
    assert results[0].result() == (3, 1) and results[2].result() == (1, 3)
    with pytest.raises(ZeroDivisionError):
        results[1].result()
    threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        threads.submit(print)


def test_closing_drops_what_waits_and_leaves_what_is_stuck() -> None:
    threads, begun, never = Threads(1, "test"), threading.Event(), threading.Event()
    try:
        stuck = threads.submit(lambda: (begun.set(), never.wait()))
        waiting = threads.submit(print)
        begun.wait()
        threads.close(patience_s=0.01)
        assert stuck.running()
        with pytest.raises(CancelledError):
            waiting.result()
    finally:
        never.set()


def test_threads_end_with_the_object_that_was_dropped() -> None:
    threads = Threads(2, "dropped")
    mine = [thread for thread in threading.enumerate() if thread.name.startswith("dropped")]
    assert len(mine) == 2
    del threads
    gc.collect()
    for thread in mine:
        thread.join(60)
        assert not thread.is_alive()


def with_a_shard_that_never_answers(folder: Path) -> Manifest:
    """A pipe that nobody writes to: opening it blocks as a dead network folder does."""
    manifest = make_dataset(str(folder), folder / "s", shards=1)
    tar = next((folder / "shards").glob("*.tar"))
    tar.unlink()
    os.mkfifo(tar)
    return manifest


def test_stuck_reads_end_the_run_and_do_not_hold_up_the_exit(tmp_path: Path) -> None:
    manifest = with_a_shard_that_never_answers(tmp_path)
    script = (
        "from dataclasses import replace\n"
        "from pipelines.dataset.dataset import Dataset\n"
        "from pipelines.dataset.modes import open_loader\n"
        "from sstrack.configs.data import DataConfig\n"
        "config = DataConfig(group_size=2, groups=1, n_search=1, stream_shuffle=2)\n"
        "for reading in ('random', 'streaming'):\n"
        f"    data = [Dataset({str(tmp_path)!r}, {manifest.digest!r})]\n"
        "    loader = open_loader(data, replace(config, reading=reading), 1)\n"
        "    loader._patience_s = 0.1\n"
        "    try:\n"
        "        loader.group(0, 0)\n"
        "    except Exception as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no batch came within 0 s") == 2


def test_a_loader_with_a_stuck_read_can_be_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = with_a_shard_that_never_answers(tmp_path)
    loader = open_loader([Dataset(str(tmp_path), manifest.digest)], CONFIG, 1)
    assert isinstance(loader, StreamLoader)
    loader._patience_s = 0.1
    with pytest.raises(SSTrackError, match="no batch came"):
        loader.group(0, 0)
    # lets the stuck thread go: it finds no tar then
    os.close(os.open(next((tmp_path / "shards").glob("*.tar")), os.O_WRONLY))
    loader.close()
