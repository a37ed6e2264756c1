"""A watched worker process: what it does when an errand kills it, hangs it, eats memory, or raises."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.crew.stages import Tell
from pipelines.crew.worker import Died, Done, Raised, Stopped, Worker
from pipelines.errors import SSTrackError


def work(errand: tuple[str, str], tell: Tell) -> object:
    """What the child does; `errand` is (what, an argument)."""
    what, argument = errand
    tell(what, 1.0, "source")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "segfault":
        ctypes.string_at(0)
    if what == "hang":
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        Path(argument).write_text(str(child.pid))
        time.sleep(600)
    if what == "eat":
        held = subprocess.Popen([sys.executable, "-c", "x = bytearray(700 << 20); import time; time.sleep(600)"])
        held.wait()
    if what == "raise":
        raise ValueError(argument)
    if what == "odd":
        raise Unportable(lambda: None)
    return os.getpid()


class Unportable(Exception):
    """An exception that cannot be pickled."""


def deadline(stage: str, amount: float) -> float:
    return 2.0 if stage == "hang" else 60.0


def silent(stage: str, amount: float, subject: str = "") -> None: ...


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(work, deadline, memory_mib=600)
    yield made
    made.close()


def test_errands_run_in_one_other_process_and_tell_their_stages(worker: Worker) -> None:
    told: list[tuple[str, float]] = []
    first, second = (
        worker.run(("pid", ""), lambda stage, amount, subject="": told.append((stage, amount))) for _ in "ab"
    )
    assert isinstance(first, Done) and first == second
    assert first.value != os.getpid()
    assert told == [("pid", 1.0)] * 2


@pytest.mark.parametrize(("what", "words"), [("kill", "SIGKILL"), ("segfault", "SIGSEGV")])
def test_a_death_is_told_with_its_signal_and_source_and_the_next_errand_runs(
    what: str, words: str, worker: Worker
) -> None:
    death = worker.run((what, ""), silent)
    assert death == Died("crashed", f"its worker was killed by {words}", "source")
    assert isinstance(worker.run(("pid", ""), silent), Done)


def test_an_idle_worker_that_died_is_no_errands_fault(worker: Worker) -> None:
    first = worker.run(("pid", ""), silent)
    assert isinstance(first, Done)
    killed = psutil.Process(first.value)
    killed.kill()
    while killed.is_running() and killed.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    second = worker.run(("pid", ""), silent)
    assert isinstance(second, Done) and second != first


class Unloadable:
    """Work that ends the child that loads it."""

    def __call__(self, errand: object, tell: Tell) -> None: ...

    def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
        return os._exit, (7,)


def test_workers_that_do_not_come_up_end_the_run_and_blame_no_source() -> None:
    worker = Worker(Unloadable(), deadline, memory_mib=600)
    with pytest.raises(SSTrackError, match=r"did not come up 3 times \(its worker ended with exit code 7\)"):
        worker.run(("pid", ""), silent)


def test_a_hang_ends_at_the_deadline_with_all_it_started(worker: Worker, tmp_path: Path) -> None:
    death = worker.run(("hang", str(tmp_path / "pid")), silent)
    assert death == Died("deadline", "stage hang took more than 2 s", "source")
    pid = int((tmp_path / "pid").read_text())
    patience = time.monotonic() + 30  # a killed process ends when the system next runs it
    while _runs(pid) and time.monotonic() < patience:
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_memory_counts_all_below_the_worker(worker: Worker) -> None:
    death = worker.run(("eat", ""), silent)
    assert isinstance(death, Died) and (death.reason, death.detail) == ("memory", "stage eat needed more than 600 MiB")


def test_what_an_errand_raises_comes_back_and_the_worker_lives_on(worker: Worker) -> None:
    pid = worker.run(("pid", ""), silent)
    raised = worker.run(("raise", "what it was"), silent)
    assert isinstance(raised, Raised) and isinstance(raised.error, ValueError) and str(raised.error) == "what it was"
    assert "what it was" in raised.trace
    odd = worker.run(("odd", ""), silent)
    assert isinstance(odd, Raised) and isinstance(odd.error, RuntimeError) and "Unportable" in str(odd.error)
    assert worker.run(("pid", ""), silent) == pid


def test_stop_ends_a_running_errand(worker: Worker, tmp_path: Path) -> None:
    ended: list[BaseException] = []

    def run() -> None:
        try:
            worker.run(("hang", str(tmp_path / "pid")), silent)
        except Stopped as stopped:
            ended.append(stopped)

    thread = threading.Thread(target=run)
    thread.start()
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.02)
    worker.stop()
    thread.join(30)
    assert len(ended) == 1


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.unit.pipelines.crew.test_worker import *\n"
        "if __name__ == '__main__':\n"
        "    Worker(work, lambda *_: 600.0, 600).run(('hang', sys.argv[1]), silent)\n"
    )
    (tmp_path / "run.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    pid_file = tmp_path / "pid"
    with subprocess.Popen([sys.executable, str(tmp_path / "run.py"), str(pid_file)], env=environment) as parent:
        while not pid_file.exists() or not pid_file.read_text():
            time.sleep(0.02)
        below = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs(below, timeout=30)
    assert alive == []
