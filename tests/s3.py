"""A real S3 server for tests: SeaweedFS on loopback, with ports of its own and one bucket."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    log = folder / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, start_new_session=True)
    try:
        _make_bucket(process, endpoint, log)
        yield S3Server(endpoint, environment)
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
