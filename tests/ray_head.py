"""A real Ray cluster with a job server for tests: ports and folder of its own, the server on loopback."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.processes import Tree, stop_processes, tree
from tests.conftest import REPO


@dataclass(frozen=True)
class RayHead:
    """Where it is. `jobs` is the job server's address, `address` the cluster's."""

    jobs: str
    address: str
    temp: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    def kill(self) -> None:
        """Lose the machine: every process of it at once."""
        Tree(self.process.pid).kill()
        self.process.wait()


@contextmanager
def ray_head(cpus: int = 2, environment: dict[str, str] | None = None) -> Iterator[RayHead]:
    """Run a head until the block ends. Never `ray stop`, which ends every Ray of the machine; and not in the test's
    own folder, as Ray keeps sockets there whose paths may have 107 characters."""
    temp = Path(tempfile.mkdtemp(prefix="ray-head-"))
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port")
    names += ("runtime-env-agent-port", "metrics-export-port", "ray-client-server-port")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--num-cpus={cpus}",
        f"--temp-dir={temp}", "--include-dashboard=true", "--dashboard-host=127.0.0.1", "--include-log-monitor=false",
        "--object-store-memory=100000000", "--disable-usage-stats",
        *(f"--{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPO), "RAY_JOB_STOP_WAIT_TIME_S": "1", **(environment or {})}
    with (temp / "head.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
    try:
        jobs = f"http://127.0.0.1:{ports['dashboard-port']}"
        _wait(process, f"{jobs}/api/version", temp / "head.log")
        yield RayHead(jobs, f"127.0.0.1:{ports['port']}", temp, process)
    finally:
        started = tree(process.pid)
        stop_processes(started[:1], patience=20.0)
        stop_processes(started[1:], patience=2.0)
        process.wait()
        shutil.rmtree(temp, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, patience_s: float = 180) -> None:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError as error:  # it wants a token, so it is there
            error.close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the Ray head did not start:\n{log.read_text()[-4000:]}") from None
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as open_together:
        sockets = [open_together.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
