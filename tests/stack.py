"""`sstrack up` as a person starts it, and Prefect's own command line beside it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError

import pytest

from tests.conftest import REPO

PREFECT = str(Path(sys.executable).with_name("prefect"))
SSTRACK = str(Path(sys.executable).with_name("sstrack"))


QUIET = {
    "PREFECT_PLUGINS_ENABLED": "0",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
"""What `up` has to give to all that it starts, so it does not get it from the tests' environment."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(read: Callable[[], Any], seconds: float = 90) -> Any:
    until = time.monotonic() + seconds
    while not (value := read()) and time.monotonic() < until:
        time.sleep(0.5)
    return value


class Api:
    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, path: str, body: Any = None) -> Any:
        return self._ask(path, body, "GET" if body is None else "POST")

    def patch(self, path: str, body: Any) -> Any:
        return self._ask(path, body, "PATCH")

    def _ask(self, path: str, body: Any, method: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/{path}", data=data, headers=headers, method=method)
        waits = [15, 5, 1]
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.loads(answer.read() or "null")
            except HTTPError as error:
                if error.code != 503 or not waits:
                    raise
                time.sleep(waits.pop())  # its SQLite file is locked; Prefect's own client waits too


class Up(NamedTuple):
    """A stack that is up."""

    process: subprocess.Popen[str]
    api: Api
    work: Path
    mlflow_port: int


def start_up(work: Path, *options: str) -> Up:
    """`sstrack up` as a person starts it, once it says that it is up."""
    ports = free_port(), free_port()
    command = [SSTRACK, "up", "--work", str(work), "--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1])]
    bare = {name: value for name, value in os.environ.items() if name not in QUIET}
    process = subprocess.Popen(
        [*command, *options], env=bare, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("Ctrl-C"):
            break
    else:
        pytest.fail("".join(seen))
    return Up(process, Api(f"http://127.0.0.1:{ports[0]}/api"), work, ports[1])


def end_up(process: subprocess.Popen[str], signum: int = signal.SIGTERM) -> str:
    """What it still says until it has ended."""
    if process.poll() is None:
        process.send_signal(signum)
    said, _ = process.communicate(timeout=90)
    return said


def prefect(
    *words: str, api: str | None, work: Path | None = None, patience_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """Typed in the repository's root, with the plugin switched on by pyproject.toml alone."""
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_PLUGINS_ENABLED"}
    if api is not None:
        environment["PREFECT_API_URL"] = api
    if work is not None:
        environment["SSTRACK_WORK"] = str(work)
    return subprocess.run(
        [PREFECT, *words], cwd=REPO, env=environment, capture_output=True, text=True, timeout=patience_s
    )
