"""Stop every process below this one, grandchildren in sessions of their own included."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path


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
        threading.Thread(target=_end_with_parent, args=(lifeline,), name="lifeline", daemon=True).start()
        return
    os.close(lifeline)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        _, status = os.waitpid(child, 0)
    except KeyboardInterrupt:
        stop_processes([child, *descendants(child)])
        raise
    os.close(held)
    code = os.waitstatus_to_exitcode(status)
    raise Ended(code if code >= 0 else 128 - code)


def _end_with_parent(lifeline: int) -> None:
    """Wait until the waiting process is gone, killed say; then nobody should go on here."""
    os.read(lifeline, 1)
    stop_processes(descendants(os.getpid()), patience=1.0)
    os._exit(1)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class Ended(Exception):
    """The supervised child has ended with `code`, and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def descendants(pid: int) -> list[int]:
    """Process ids of all children of `pid`, their children, and so on."""
    below: dict[int, list[int]] = {}
    for child, parent in _parents():
        below.setdefault(parent, []).append(child)
    found, waiting = [], [pid]
    while waiting:
        children = below.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def stop_processes(pids: Collection[int], patience: float = 10.0) -> None:
    """SIGTERM all, wait up to `patience` seconds, SIGKILL those that are left."""
    for signum, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 2.0)):
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)
        until = time.monotonic() + wait
        while (pids := [pid for pid in pids if alive(pid)]) and time.monotonic() < until:
            time.sleep(0.05)
        if not pids:
            return


def alive(pid: int) -> bool:
    """Running, and not a zombie: a child of ours that ended is reaped here."""
    with suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def _parents() -> list[tuple[int, int]]:
    """(process, its parent) for all processes."""
    if not Path("/proc/self/stat").exists():
        lines = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        return [(int(pid), int(parent)) for pid, parent in (line.split() for line in lines.splitlines())]
    pairs = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            pairs.append((int(folder.name), int((folder / "stat").read_text().rpartition(")")[2].split()[1])))
    return pairs
