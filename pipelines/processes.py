"""Processes and all below them: found, measured and ended together, grandchildren in sessions of their own included.

A child that must not outlive its parent holds the reading end of a pipe, a lifeline, whose other end the parent has.
The kernel closes that with its holder, however it ends, and the child ends with everything below it. (Linux' own signal
for a parent's death comes with the end of the parent's *thread*, and reaches no grandchildren.)
"""

import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

_LOOK_S = 0.05
_KILL_S = 2.0


def fork_supervised() -> None:
    """Go on in a child process with a session of its own; this process waits for it and exits as it does.

    The terminal's Ctrl-C then reaches the waiting process alone. Without this, it would also end the servers that the
    work below talks to, and Prefect would wait for its dead one; here everything below is stopped within seconds.
    Call it before anything has started a thread.
    """
    lifeline, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        end_with_parent(lifeline, patience=1.0)
        return
    os.close(lifeline)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        _, status = os.waitpid(child, 0)
    except KeyboardInterrupt:
        stop_processes(tree(child))
        raise
    os.close(held)
    code = os.waitstatus_to_exitcode(status)
    raise Ended(code if code >= 0 else 128 - code)


def end_with_parent(lifeline: int, patience: float = 0.0) -> None:
    """From now on end this process with all below it when the other end of the pipe `lifeline` is closed.

    What is below has `patience` seconds from SIGTERM to SIGKILL; with 0 there is no SIGTERM.
    """
    threading.Thread(target=_end_with_parent, args=(lifeline, patience), name="lifeline", daemon=True).start()


def _end_with_parent(lifeline: int, patience: float) -> None:
    os.read(lifeline, 1)
    stop_processes(descendants(os.getpid()), patience)
    os._exit(1)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class Ended(Exception):
    """The supervised child has ended with `code`, and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def tree(pid: int) -> list[psutil.Process]:
    """Process `pid`, then all children of it, their children, and so on; empty where it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def descendants(pid: int) -> list[psutil.Process]:
    """All children of process `pid`, their children, and so on."""
    return tree(pid)[1:]


def marked(name: str, value: str) -> list[psutil.Process]:
    """Every process of this user that was started with environment variable `name` set to `value`, this one left out.

    So children are found whose parents are gone, in whatever session they are.
    """
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(name) == value:
                found.append(process)
    return found


def stop_processes(processes: Iterable[psutil.Process], patience: float = 10.0) -> None:
    """SIGTERM all, wait up to `patience` seconds, SIGKILL those that are left and wait for their end; with a patience
    of 0 SIGKILL at once."""
    left = list(processes)
    for signum, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, _KILL_S)):
        if not wait:
            continue
        for process in left:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(signum)
        until = time.monotonic() + wait
        while (left := [process for process in left if alive(process)]) and time.monotonic() < until:
            time.sleep(_LOOK_S)


def alive(process: psutil.Process) -> bool:
    """Running, and not a zombie that waits for its parent to look."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def resident_of(pid: int) -> int:
    """Bytes of physical memory that one process holds, pages that it shares included; 0 once it is gone."""
    with suppress(psutil.NoSuchProcess):
        return _resident(psutil.Process(pid))
    return 0


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


class Tree:
    """A process, and every descendant that was ever seen: one stays known when its own parent is gone."""

    def __init__(self, pid: int) -> None:
        """Raises psutil.NoSuchProcess where there is no such process."""
        self._root = psutil.Process(pid)
        self._below: set[psutil.Process] = set()

    def resident_bytes(self) -> int:
        """Bytes of physical memory that all of them hold.

        A page that several of them share is counted for each: what forks have in common makes this more than they
        take, never less, so a limit on it errs to the safe side. To share it out among them, as the kernel's PSS does,
        it has to walk all their pages, and here it is asked for several times a second.
        """
        self._look()
        return sum(_resident(process) for process in (self._root, *self._below))

    def kill(self) -> None:
        """SIGKILL to all of them; does not wait."""
        self._look()
        for process in (self._root, *self._below):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _look(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self._below.update(self._root.children(recursive=True))
        self._below = {process for process in self._below if process.is_running()}
