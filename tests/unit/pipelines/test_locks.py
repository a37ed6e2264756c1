"""One worker at a time in a folder; a killed one does not block the next."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import SSTrackError
from pipelines.locks import work_lock

HOLD = """
import sys, time
from pathlib import Path
from pipelines.locks import work_lock
with work_lock(Path(sys.argv[1]), "ingest"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_fails_at_once_and_is_told_the_first_ones_pid(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        words = rf"another sstrack ingest \(pid {first.pid}\) is using {tmp_path}"
        with pytest.raises(SSTrackError, match=words), work_lock(tmp_path, "ingest"):
            pass
        first.kill()
        first.wait()
        with work_lock(tmp_path, "ingest"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_different_work_does_not_exclude_each_other(tmp_path: Path) -> None:
    with work_lock(tmp_path, "ingest"), work_lock(tmp_path, "demo"):
        pass
