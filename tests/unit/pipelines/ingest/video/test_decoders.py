"""The decoders' fork server: what happens to one decoder is told, and the next video is decoded all the same."""

import os
import signal
import tempfile
from pathlib import Path

import psutil

from pipelines.ingest.video.decoding.decoders import Descriptors, Forked, cpu_seconds


def run(task: bytes, kill: bool = False) -> tuple[int, str, int]:
    """Exit status of a decoder, what it said, and the process id of its server."""
    with tempfile.TemporaryFile() as video, tempfile.TemporaryFile() as errors, Path(os.devnull).open("wb") as sink:
        out = sink.fileno()
        files = Descriptors(video.fileno(), out, out, out, errors.fileno())
        decoder = Forked(task, files)
        server = decoder._server._process.pid
        if kill:
            os.kill(server, signal.SIGKILL)
        status = decoder.wait()
        decoder.kill()  # it has ended: nothing happens
        errors.seek(0)
        return status, errors.read().decode(), server


def test_a_decoder_that_breaks_says_why_and_its_server_forks_the_next() -> None:
    status, said, server = run(b"{}")
    assert status == 1
    assert "KeyError" in said
    before = cpu_seconds()
    assert run(b"{}")[::2] == (1, server)
    assert cpu_seconds() >= before > 0


def test_a_server_that_is_killed_takes_its_decoder_along_and_is_replaced() -> None:
    server = run(b"{}")[2]
    status, _, killed = run(b"{}", kill=True)
    assert killed == server
    assert status < 0 or status == 1  # the decoder may have answered first
    assert not psutil.pid_exists(server)
    status, _, following = run(b"{}")
    assert status == 1
    assert following != server
