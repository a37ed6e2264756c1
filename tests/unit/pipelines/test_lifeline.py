"""What a killed process had started does not outlive it by more than seconds."""

import os
import signal
import subprocess
import sys
import time
import uuid

from pipelines.lifeline import lifeline
from pipelines.processes import descendants, marked, stop_processes

MAKER = """
import os, subprocess, sys, time
from pipelines.lifeline import lifeline

with lifeline("TEST_MARK", sys.argv[1]):
    there = {**os.environ, "TEST_MARK": sys.argv[1]}
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=there, start_new_session=True)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_killed_maker_takes_along_what_it_started_in_whatever_session() -> None:
    value = str(uuid.uuid4())
    maker = subprocess.Popen([sys.executable, "-c", MAKER, value], stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None and maker.stdout.readline() == "ready\n"
    assert len(marked("TEST_MARK", value)) == 1
    os.kill(maker.pid, signal.SIGKILL)
    maker.communicate()
    until = time.monotonic() + 30
    while marked("TEST_MARK", value) and time.monotonic() < until:
        time.sleep(0.1)
    assert not marked("TEST_MARK", value)


def test_a_guard_that_somebody_ended_does_no_harm() -> None:
    with lifeline("TEST_MARK", str(uuid.uuid4())):
        (guard,) = (each for each in descendants(os.getpid()) if "pipelines.lifeline" in each.cmdline())
        stop_processes([guard], patience=0)


def test_the_end_of_the_block_ends_nothing() -> None:
    value = str(uuid.uuid4())
    there = {**os.environ, "TEST_MARK": value}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=there) as child:
        with lifeline("TEST_MARK", value):
            pass
        assert child.poll() is None
        child.kill()
