"""Processes that decode: PyAV's, forked by a server that this process keeps, and ffmpeg's, started each time."""

import atexit
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import psutil

from pipelines.ingest.video.decoding import fork_server
from pipelines.processes import Tree

_ROOT = Path(__file__).parents[4]
_PROGRAM = f"import sys; sys.path.append(sys.argv[1]); from {fork_server.__name__} import main; main(int(sys.argv[2]))"
_ENVIRONMENT = {
    # a fork wants a process of one thread: linear algebra must not start more
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # pictures come and go: memory that is given back and fetched again each time costs a tenth of decoding
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
_STOP_S = 5.0


@dataclass(frozen=True)
class Descriptors:
    """What a decoder gets: the opened video to read, and four pipes to write to. In the order of
    `fork_server.DESCRIPTORS`."""

    video: int
    tiny: int
    records: int
    frames: int
    errors: int


class Decoder(Protocol):
    """A running decoder."""

    pid: int

    def kill(self) -> None:
        """End it with all below it, from any thread; nothing where it has ended."""
        ...

    def wait(self) -> int:
        """Its exit status once it has ended, minus the signal's number where one ended it."""
        ...


Start = Callable[[Descriptors], Decoder]


class Spawned:
    """A command as a process of its own."""

    def __init__(self, command: Sequence[str], files: Descriptors) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=files.tiny,
            stderr=files.errors,
            pass_fds=(files.video, files.records, files.frames),
            start_new_session=True,
        )
        self.pid = self._process.pid

    def kill(self) -> None:
        if self._process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                Tree(self.pid).kill()

    def wait(self) -> int:
        return self._process.wait()


class Forked:
    """A decoder forked by a server, which is taken from those that are idle and goes back there."""

    def __init__(self, task: bytes, files: Descriptors) -> None:
        self._lock = threading.Lock()
        self._status: int | None = None
        self._server = _Server.idle()
        self.pid = self._server.ask(task, files)

    def kill(self) -> None:
        with self._lock:
            if self._status is None:
                self._server.kill()

    def wait(self) -> int:
        if self._status is None:
            status = self._server.answer()
            with self._lock:
                self._status = status
            self._server.give_back()
        return self._status


class _Server:
    """One fork server. A thread that decodes has one to itself."""

    _all: ClassVar["list[_Server]"] = []
    _free: ClassVar["list[_Server]"] = []

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-I", "-c", _PROGRAM, str(_ROOT), str(theirs.fileno())]
            environment = {**os.environ, **_ENVIRONMENT}
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        self._answers = self._control.makefile("rb")
        self._usage = psutil.Process(self._process.pid)
        _Server._all.append(self)

    @classmethod
    def idle(cls) -> "_Server":
        """One that does nothing, new if need be."""
        while cls._free:
            server = cls._free.pop()
            if server._process.poll() is None:
                return server
            server.end()
        return cls()

    def ask(self, task: bytes, files: Descriptors) -> int:
        """Start a decoder; returns its process id."""
        socket.send_fds(self._control, [task + b"\n"], astuple(files))
        return self.answer()

    def answer(self) -> int:
        """The next number that the server says; minus the signal's number where the server itself was killed."""
        line = self._answers.readline()
        return int(line) if line else min(-1, self._process.wait())

    def kill(self) -> None:
        """End the decoder."""
        with suppress(OSError):
            self._control.sendall(fork_server.KILL + b"\n")

    def give_back(self) -> None:
        """Let the next decoder have it."""
        _Server._free.append(self)

    def cpu_seconds(self) -> float:
        """CPU time of the server and all decoders that have ended; 0 once it has ended itself."""
        with suppress(psutil.NoSuchProcess):
            return sum(self._usage.cpu_times()[:4])
        return 0.0

    def end(self) -> None:
        """End it and what it runs."""
        _Server._all.remove(self)
        self._answers.close()
        self._control.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def cpu_seconds() -> float:
    """CPU time that decoders have taken whose server still stands ready, so that no other count of ours has it."""
    return sum(server.cpu_seconds() for server in list(_Server._all))


@atexit.register
def _end_all() -> None:
    for server in list(_Server._all):
        server.end()


def _forget() -> None:
    """In a fork of this process: the servers are the parent's."""
    for server in _Server._all:
        server._control.close()
    _Server._all.clear()
    _Server._free.clear()


os.register_at_fork(after_in_child=_forget)
