"""Where the stack of a work folder answers, kept in that folder, so that other shells find it. Knows no Prefect."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from pipelines import storage

STACK = "SSTRACK_STACK"
"""Environment variable of all that a stack starts; its value is the work folder."""
POOL = "local"
"""The work pool of our deployments."""
_NAME = "up.json"


@dataclass(frozen=True)
class StackNote:
    """Addresses of a stack, and the process id of its `sstrack up`."""

    prefect_url: str
    mlflow_url: str
    pid: int

    @property
    def api_url(self) -> str:
        """What Prefect's `PREFECT_API_URL` is."""
        return f"{self.prefect_url}/api"


def note_stack(work: Path, prefect_url: str, mlflow_url: str) -> None:
    """Keep the addresses of this process's stack."""
    note = StackNote(prefect_url, mlflow_url, os.getpid())
    storage.write_atomic(str(work / _NAME), json.dumps(asdict(note)).encode())


def forget_stack(work: Path) -> None:
    """Remove the note."""
    (work / _NAME).unlink(missing_ok=True)


def noted_stack(work: Path) -> StackNote | None:
    """The stack that was noted in a work folder and whose `up` is alive; None where there is none."""
    try:
        note = StackNote(**json.loads((work / _NAME).read_text()))
        return note if psutil.pid_exists(note.pid) else None
    except (OSError, ValueError, TypeError, OverflowError):
        return None
