"""S3 servers for tests, on loopback with ports of their own and one bucket.

SeaweedFS is a real one. moto's is in this process, for faults that a real one shows on bad days only.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

KEY, SECRET, BUCKET = "test-key", "test-secret", "bucket"


@dataclass(frozen=True)
class S3Server:
    """Where the server listens and what to set for a client; `url("a", "b")` is `s3://bucket/a/b`."""

    endpoint: str
    environment: dict[str, str]

    def url(self, *parts: str) -> str:
        return "/".join([f"s3://{BUCKET}", *parts])


@contextmanager
def seaweedfs(folder: Path) -> Iterator[S3Server]:
    """Run SeaweedFS with its data under `folder` until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    identity = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    ports = dict(zip([*names, *(f"{name}.grpc" for name in names)], _free_ports(2 * len(names)), strict=True))
    command = [
        str(Path(sys.executable).with_name("weed")), "-logtostderr=true", "server",
        f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={folder / 's3.json'}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-master.telemetry=false",
        "-volume.max=20", "-volume.minFreeSpace=1MiB", "-volume.preStopSeconds=0", "-master.volumeSizeLimitMB=256",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    log = folder / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, start_new_session=True)
    try:
        _make_bucket(process, endpoint, log)
        yield S3Server(endpoint, _environment(endpoint))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _make_bucket(process: subprocess.Popen[bytes], endpoint: str, log: Path, patience_s: float = 90) -> None:
    """Returns once an object can be put: the volume server joins the master seconds after S3 answers."""
    deadline = time.monotonic() + patience_s
    while True:
        client = fsspec.filesystem(
            "s3", key=KEY, secret=SECRET, endpoint_url=endpoint, client_kwargs={"region_name": "us-east-1"},
            skip_instance_cache=True, use_listings_cache=False,
        )  # fmt: skip
        try:
            if not client.exists(BUCKET):
                client.mkdir(BUCKET)
            client.pipe_file(f"{BUCKET}/.ready", b"ready")
            client.rm_file(f"{BUCKET}/.ready")
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text()[-4000:]}") from None
            time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _environment(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@dataclass
class Faults:
    """What the moto server does wrong now."""

    ignores_conditions: bool = False
    busy_for: int = 0
    """Answers 503 to so many requests."""
    denies: str = ""
    """Answers 403 to puts of objects with this in their name."""


@contextmanager
def moto_s3() -> Iterator[tuple[S3Server, Faults]]:
    """Run moto's S3 in a thread until the block ends; change the faults at any time."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    faults = Faults()
    application = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if faults.busy_for > 0:
            faults.busy_for -= 1
            return _refuse(start, "503 Slow Down", "SlowDown")
        if faults.denies and environ["REQUEST_METHOD"] == "PUT" and faults.denies in environ["PATH_INFO"]:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return _refuse(start, "403 Forbidden", "AccessDenied")
        if faults.ignores_conditions:
            for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"):
                environ.pop(name, None)
        return application(environ, start)

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.port}"
    try:
        # moto's buckets live as long as this process; this is its documented way to forget them
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()
        fsspec.filesystem(
            "s3", key=KEY, secret=SECRET, endpoint_url=endpoint, skip_instance_cache=True
        ).call_s3("create_bucket", Bucket=BUCKET)  # fmt: skip
        yield S3Server(endpoint, _environment(endpoint)), faults
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _refuse(start: Callable[..., Any], status: str, code: str) -> Iterable[bytes]:
    body = f"<Error><Code>{code}</Code><Message>a fault of the test</Message></Error>".encode()
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]
