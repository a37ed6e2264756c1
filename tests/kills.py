"""Ingests in child processes that die by SIGKILL at a named point. The product knows nothing of it."""

import os
import signal
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from tests import seams

SMALL = IngestConfig(long_side=128, min_frames=5, max_frames=9, shard_mib=0.08)


@dataclass(frozen=True)
class Kill:
    """SIGKILL at the `nth` call of `module:attribute` whose arguments have `match` in their text."""

    target: str
    match: str = ""
    nth: int = 1
    after: bool = False


def ingest_and_die(kill: Kill | None, sources: list[str], dataset: str, workers: int, environment: dict) -> None:
    """In a child process: ingest, and die by the kernel's hand where `kill` says."""
    os.environ.update(environment)
    if kill is not None:
        _arm(kill)
    ingest(sources, dataset, SMALL, workers=workers)


def _arm(kill: Kill) -> None:
    module, _, path = kill.target.partition(":")
    *outer, name = path.split(".")
    owner = import_module(module)
    for part in outer:
        owner = getattr(owner, part)
    work, calls = getattr(owner, name), []

    def die(*args, **options):
        text = " ".join(str(_place(arg)) for arg in args[:2])
        calls.extend([1] if kill.match in text else [])
        if kill.match in text and len(calls) == kill.nth:
            if kill.after:
                work(*args, **options)
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*args, **options)

    setattr(owner, name, die)


def _place(argument: object) -> object:
    """The path behind a file descriptor; anything else as it is."""
    return Path(f"/proc/self/fd/{argument}").readlink() if isinstance(argument, int) else argument


def start(kill: Kill | None, sources: list[str], dataset: str, workers: int = 0) -> BaseProcess:
    context = get_context("forkserver")  # forks of a process that has imported all this once
    context.set_forkserver_preload(["tests.kills", *seams.INGEST_MODULES, "webdataset.writer", "s3fs"])
    names = ("AWS_", "SSTRACK_")
    environment = {name: value for name, value in os.environ.items() if name.startswith(names)}
    process = context.Process(target=ingest_and_die, args=(kill, sources, dataset, workers, environment))
    process.start()
    return process
