"""A server from start to Ctrl-C: the model loaded, the batch's thread, and uvicorn around them."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import uvicorn

from pipelines.errors import UsageError
from pipelines.registry.models import resolve_model, tracker_digest
from pipelines.serving.access import require_token_beyond_loopback
from pipelines.serving.app import build_app
from pipelines.serving.batcher import Batcher
from pipelines.serving.limits import Limits
from pipelines.serving.metrics import Metrics
from pipelines.serving.service import Service
from pipelines.serving.sources import ServedRoots
from pipelines.tracking.load import load_tracker

_LAST_S = 3
"""Seconds that answers have to reach their callers once the server stops."""


def serve(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str = "",
    roots: Sequence[str] = (),
    limits: Limits | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    fast: bool = False,
    threads: int | None = None,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Answer until Ctrl-C or SIGTERM; sessions that run then are told, and it ends within seconds.

    Args:
        model: a model URI, see `resolve_model`. An alias is looked up now and not again.
        host: the address to listen on; one that other machines reach needs a token.
        port: 0 takes a free one.
        token: what callers have to show; empty for none.
        roots: what callers may name by URI, see `ServedRoots`.
        limits: what callers may ask for.
        options: see `load_tracker`, as for `device`, `fast` and `threads`.
        ready: called with the server's address when it answers.

    Raises UsageError for an open address without a token and a port in use, SSTrackError as `load_tracker` does.
    """
    require_token_beyond_loopback(host, token)
    limits = limits or Limits()
    served = ServedRoots(roots)
    with _listener(host, port) as listener:
        package = resolve_model(model)
        tracker = load_tracker(str(package), options, device=device, fast=fast, threads=threads)
        digest = tracker_digest(package, options or {})
        metrics = Metrics()
        with Batcher(tracker, limits.batch, metrics) as batcher:
            service = Service(model, digest, batcher, limits, served, metrics, token)
            bound = listener.getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            _Server(service, lambda: ready(f"http://{shown}:{bound}")).run([listener])


class _Server(uvicorn.Server):
    """Says when it answers, and tells all sessions when it stops."""

    def __init__(self, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                build_app(service),
                ws="websockets-sansio",
                # A little more than a picture may have, so that it is us who say that it is too large.
                ws_max_size=service.limits.frame_bytes + (1 << 20),
                ws_per_message_deflate=False,  # pictures are compressed
                # The answer to a ping waits behind all frames that a client has sent ahead, and who is slow here is us;
                # a client that is gone falls silent, and `idle_s` sees to that.
                ws_ping_interval=None,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_LAST_S,
            )
        )
        self._service, self._ready = service, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.stop()
        until = time.monotonic() + _LAST_S
        while self._service.sessions and time.monotonic() < until:  # their last words, before connections are closed
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


def _listener(host: str, port: int) -> socket.socket:
    """Bound before the model is loaded, so that a port in use shows at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another --host or --port"
        ) from error
    return listener
