"""One child process that does errands one after another, watched from outside: deadline, memory, death.

What kills it, or has to be killed, is told as an outcome; everything below it, decoders included, ends with it.
"""

import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from pipelines.crew.stages import Tell
from pipelines.errors import SSTrackError
from pipelines.processes import Tree, end_with_parent

Work = Callable[[Any, Tell], Any]
"""(errand, tell) -> result. Runs in the child; itself, the errand and the result can be pickled."""
Deadline = Callable[[str, float], float]
"""(stage, amount as told) -> seconds that the stage may take from its begin on."""

_BEGUN = "begun"
"""What a child says when it has an errand in hand; an end before that is no errand's fault."""
_STARTS = 3
_LOOK_S = 0.25
_STOP_S = 5.0


@dataclass(frozen=True)
class Done:
    """The errand ended with `value`."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The errand raised `error`; `trace` says where."""

    error: BaseException
    trace: str


@dataclass(frozen=True)
class Died:
    """The worker ended or had to be killed in the middle of the errand; `reason` is crashed, memory or deadline."""

    reason: str
    detail: str
    subject: str = ""
    """What the errand works on, as far as it told."""


Outcome = Done | Raised | Died


class Stopped(Exception):
    """The worker was told to stop while an errand ran."""


class Worker:
    """Starts its child with the first errand, and a new one after a death. `run` in one thread, `stop` from any."""

    def __init__(self, work: Work, deadline: Deadline, memory_mib: float) -> None:
        self._work, self._deadline, self._memory = work, deadline, memory_mib * 2**20
        self._child: _Child | None = None
        self._stopping = threading.Event()
        self._subject = ""

    def run(self, errand: Any, tell: Tell) -> Outcome:
        """Do one errand; what it tells is passed on.

        Raises Stopped where `stop` was called meanwhile, and SSTrackError where no child lives long enough to begin.
        """
        for _ in range(_STARTS):
            if self._child is None:
                self._child = _Child(self._work)
            child = self._child
            try:
                outcome = self._watch(child, errand, tell)
            except BaseException:
                self._child = None
                child.kill()
                raise
            if not isinstance(outcome, Died):
                return outcome
            self._child = None
            child.kill()
            if child.busy:
                return replace(outcome, subject=self._subject)
        raise SSTrackError(
            f"a worker did not come up {_STARTS} times ({outcome.detail}), so no input is to blame: see what it wrote "
            "above, and whether memory and processes are to be had; the same command goes on"
        )

    def stop(self) -> None:
        """Let a running errand end in Stopped; kill an idle child."""
        self._stopping.set()

    def close(self) -> None:
        """End an idle child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _watch(self, child: "_Child", errand: Any, tell: Tell) -> Outcome:
        self._subject, child.busy = "", False
        if not child.send(errand):
            return Died("crashed", child.ending())
        stage, amount, begun, looked = "start", 0.0, time.monotonic(), 0.0
        while not self._stopping.is_set():
            message = child.receive(_LOOK_S)
            now = time.monotonic()
            if isinstance(message, Done | Raised | Died):
                return message
            if isinstance(message, str):
                child.busy, begun = True, now
            elif message is not None:
                (stage, amount, subject), begun = message, now
                self._subject = subject or self._subject
                tell(stage, amount)
            if now - looked < _LOOK_S:
                continue
            looked = now
            if now - begun > (limit := self._deadline(stage, amount)):
                return Died("deadline", f"stage {stage} took more than {limit:.0f} s")
            if child.memory() > self._memory:
                return Died("memory", f"stage {stage} needed more than {self._memory / 2**20:.0f} MiB")
        raise Stopped


class _Child:
    """The process, its two pipes, and every descendant that was ever seen."""

    def __init__(self, work: Work) -> None:
        context = get_context("spawn")  # forked children would share our threads' locks and S3 clients
        self._alive, self._hold = context.Pipe(duplex=False)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(work, theirs, self._alive), daemon=False)
        self._process.start()
        theirs.close()
        pid = self._process.pid
        assert pid is not None
        self._tree = Tree(pid)
        self.busy = False

    def send(self, errand: Any) -> bool:
        try:
            self._pipe.send(errand)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self, patience: float) -> tuple[str, float, str] | str | Outcome | None:
        try:
            return self._pipe.recv() if self._pipe.poll(patience) else None
        except (EOFError, ConnectionResetError):
            return Died("crashed", self.ending())

    def memory(self) -> int:
        """Resident bytes of the process and all below it."""
        return self._tree.resident_bytes()

    def ending(self) -> str:
        """How the process ended, in words that are the same each time."""
        self._process.join(_STOP_S)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"its worker was killed by {signal.Signals(-code).name}"
        return f"its worker ended with exit code {code}"

    def kill(self) -> None:
        """Kill the process and all below it, those in sessions of their own included."""
        self._tree.kill()
        self._process.join()
        self._process.close()
        for end in (self._pipe, self._alive, self._hold):
            end.close()


def _serve(work: Work, pipe: Connection, alive: Connection) -> None:
    """The child: leaves Ctrl-C to its parent, and ends with all below it when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setpgrp()
    end_with_parent(alive.fileno())
    sending = threading.Lock()

    def send(message: object) -> None:
        data = pickle.dumps(message)
        with sending:
            pipe.send_bytes(data)

    while True:
        try:
            errand = pipe.recv()
        except EOFError:
            return
        send(_BEGUN)
        try:
            result = Done(work(errand, lambda stage, amount, subject="": send((stage, amount, subject))))
        except Exception as error:  # noqa: BLE001 - handed to the parent, which decides
            result = Raised(_portable(error), "".join(traceback.format_exception(error)[-3:])[-2000:])
        send(result)


def _portable(error: Exception) -> Exception:
    """The error itself where it survives pickling, else a RuntimeError with its words."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - any failure means that it cannot travel
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
