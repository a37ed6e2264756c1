"""Runs a decoder as a child process and drains what it writes, under a deadline and a limit on its memory.

Each of its outputs, the error stream too, is drained by its own thread, so none can block another; of the errors only
their number and the last few are kept.
"""

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipelines.ingest.reject import Unusable
from pipelines.ingest.video.decoding.decoders import Decoder, Descriptors, Start
from pipelines.processes import resident_of

_PIPE_BYTES = 1 << 20
_LOOK_S = 0.1
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, which Python names from 3.10 on Linux alone


@dataclass(frozen=True)
class Limits:
    """Seconds that a decoder may run and bytes that it may hold in memory."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status (minus the signal's number), its error lines' number and the last of them."""

    status: int
    error_lines: int
    errors: str


def run_child(
    video: Path,
    start: Start,
    limits: Limits,
    *,
    tiny: Callable[[IO[bytes]], None],
    records: Callable[[IO[bytes]], None],
    frames: Callable[[IO[bytes]], None],
    is_error: Callable[[str], bool] = bool,
) -> Ended:
    """Run a decoder on an open file, so that it never sees the file's name, and read its three outputs to their ends.

    `frames` is called in this thread, the others in theirs; `is_error` tells lines of the error stream that count.
    What a reader raises stops the child and passes on.
    Raises Unusable where the deadline passes or the memory limit does.
    """
    errors = _Errors(is_error)
    with ExitStack() as stack:
        file = stack.enter_context(video.open("rb"))
        outs, ends = zip(*(_pipe(stack) for _ in range(4)), strict=True)
        tiny_out, records_out, frames_out, errors_out = outs
        decoder = start(Descriptors(file.fileno(), *(end.fileno() for end in ends)))
        for end in ends:
            end.close()
        drains = [_Drain(tiny, tiny_out), _Drain(records, records_out), _Drain(errors.read, errors_out)]
        guard = _Guard(decoder, limits)
        try:
            frames(frames_out)
            for drain in drains:
                drain.finish()
            decoder.wait()
        finally:
            guard.stop()
            decoder.kill()
            status = decoder.wait()
            for drain in drains:
                drain.join()
    if guard.broken:
        raise Unusable("decode", *guard.broken)
    return Ended(status, errors.lines, errors.text)


def _pipe(stack: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    out, into = os.pipe()
    with suppress(OSError):  # a larger pipe saves switches between processes; a system may not allow it
        fcntl.fcntl(out, _SET_PIPE_SIZE, _PIPE_BYTES)
    return stack.enter_context(os.fdopen(out, "rb")), stack.enter_context(os.fdopen(into, "wb"))


class _Drain(threading.Thread):
    """Runs `read(stream)` to the stream's end; `finish` waits for that and raises what it raised."""

    def __init__(self, read: Callable[[IO[bytes]], None], stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._read, self._stream = read, stream
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._read(self._stream)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error
            self._stream.close()  # the child must not wait for a reader that is gone

    def finish(self) -> None:
        self.join()
        if self._error is not None:
            raise self._error


class _Guard(threading.Thread):
    """Kills the child when its time is up or its memory grows past the limit; `broken` says which."""

    def __init__(self, decoder: Decoder, limits: Limits) -> None:
        super().__init__(daemon=True)
        self._decoder, self._limits = decoder, limits
        self._over = threading.Event()
        self.broken: tuple[str, str] | None = None
        self.start()

    def run(self) -> None:
        end = time.monotonic() + self._limits.seconds
        while not self._over.wait(_LOOK_S):
            if time.monotonic() > end:
                self._break("deadline", f"not decoded within {self._limits.seconds:.0f} s")
            elif (held := resident_of(self._decoder.pid)) > self._limits.bytes:
                limit = self._limits.bytes / 2**20
                self._break("memory", f"its decoder held {held / 2**20:.0f} MiB, the limit is {limit:.0f}")
            if self.broken:
                return

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _break(self, reason: str, detail: str) -> None:
        self.broken = (reason, detail)
        self._decoder.kill()


class _Errors:
    """Counts error lines and keeps the last few, so that a broken file cannot fill the memory."""

    def __init__(self, is_error: Callable[[str], bool]) -> None:
        self._is_error = is_error
        self.lines = 0
        self._last: deque[str] = deque(maxlen=3)

    def read(self, stream: IO[bytes]) -> None:
        while data := stream.readline(4096):
            line = data.decode(errors="replace").strip()
            if self._is_error(line):
                self.lines += 1
                self._last.append(line[:200])

    @property
    def text(self) -> str:
        return "; ".join(self._last)
