"""Trees of real processes: found and ended whole, measured, and gone with their parent."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from pipelines.processes import Tree, alive, descendants, resident_of, stop_processes, tree

REPO = Path(__file__).parents[3]
BELOW = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    "print(child.pid, flush=True)\n"
)
"""A child with a grandchild in a session of its own."""
ENDINGS = {
    "waits": "time.sleep(600)\n",
    "is deaf": (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True); time.sleep(600)\n"
    ),
}


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, script: str, lines: int = 1) -> tuple[subprocess.Popen[str], list[str]]:
    """A Python process, once it has written so many lines."""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=REPO)
    assert process.stdout is not None
    stack.callback(process.stdout.close)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process, [process.stdout.readline().strip() for _ in range(lines)]


def gone(processes: list[psutil.Process], patience: float = 60.0) -> bool:
    until = time.monotonic() + patience
    while any(map(alive, processes)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, processes))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_tree_is_ended_with_grandchildren_in_their_own_sessions(ending: str, running: ExitStack) -> None:
    process, said = start(running, BELOW + ENDINGS[ending], lines=1 + (ending == "is deaf"))
    found = tree(process.pid)
    assert [each.pid for each in found] == [process.pid, int(said[0])]
    assert found[1:] == descendants(process.pid)
    assert os.getsid(found[1].pid) == found[1].pid
    stop_processes(found, patience=2.0)
    assert gone(found)
    assert process.wait() == (-15 if ending == "waits" else -9)
    assert tree(process.pid) == [] and resident_of(process.pid) == 0


def test_what_was_seen_below_a_process_ends_when_that_is_gone_already(running: ExitStack) -> None:
    process, said = start(running, BELOW + ENDINGS["waits"])
    grandchild = psutil.Process(int(said[0]))
    whole = Tree(process.pid)
    assert whole.resident_bytes() > resident_of(grandchild.pid) > 0
    process.kill()
    process.wait()
    assert descendants(process.pid) == [] and alive(grandchild)
    whole.kill()
    assert gone([grandchild])
    whole.kill()  # nothing is left: nothing happens
    assert whole.resident_bytes() == 0


def test_a_process_number_that_was_given_to_another_is_not_touched(running: ExitStack) -> None:
    first, _ = start(running, "print()\n")
    seen = Tree(first.pid)
    [old] = tree(first.pid) or [psutil.Process(os.getpid())]
    first.wait()
    other, _ = start(running, "import time; print(flush=True); time.sleep(600)\n")
    setattr(old, "_pid", other.pid)  # noqa: B010 - as if the kernel had come round to the number
    stop_processes([old], patience=0.1)
    seen.kill()
    time.sleep(0.1)
    assert other.poll() is None


def test_memory_of_a_tree_counts_a_shared_page_for_each_that_has_it(running: ExitStack) -> None:
    mib = 64
    script = (
        "import os, time\n"
        f"held = bytearray(os.urandom({mib} << 20))\n"
        "if os.fork() == 0:\n    time.sleep(600)\n"
        "print(flush=True)\n"
        "time.sleep(600)\n"
    )
    process, _ = start(running, script)
    whole = Tree(process.pid)
    running.callback(whole.kill)
    together, alone = whole.resident_bytes(), resident_of(process.pid)
    assert alone > mib << 20
    assert together > alone + (mib << 20)


@pytest.mark.parametrize("patience", [0.0, 0.5])
def test_a_child_ends_with_all_below_it_when_its_parent_is_killed(patience: float, running: ExitStack) -> None:
    child = (
        "import subprocess, sys, time; from pipelines.processes import end_with_parent\n"
        f"end_with_parent(int(sys.argv[1]), {patience})\n" + BELOW + "time.sleep(600)\n"
    )
    parent = (
        "import os, subprocess, sys, time\n"
        "lifeline, held = os.pipe()\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, str(lifeline)], pass_fds=[lifeline])\n"
        "time.sleep(600)\n"
    )
    process, said = start(running, parent)
    below = descendants(process.pid)
    assert len(below) == 2 and int(said[0]) in {each.pid for each in below}
    process.kill()
    assert gone(below)
