"""What all requests to one server share: the batch, the limits, who may ask, what is counted, how many there are."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipelines.serving.access import require_access
from pipelines.serving.batcher import Batcher
from pipelines.serving.limits import Limits
from pipelines.serving.metrics import Metrics
from pipelines.serving.refusals import Refusal, stopping
from pipelines.serving.sources import ServedRoots

Item = TypeVar("Item")


@dataclass
class Service:
    """One server's. Used on its event loop alone."""

    model: str
    """As it was asked for."""
    tracker: str
    """16 hex digits over weights, options and the tracker's version."""
    batcher: Batcher
    limits: Limits
    roots: ServedRoots
    metrics: Metrics
    token: str = ""
    """Empty: none is asked for."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when no session is to go on."""
    sessions: int = 0

    @contextmanager
    def session(self, way: str, headers: Mapping[str, str], subprotocols: Sequence[str] = ()) -> Iterator[None]:
        """A place among those served at once. Raises Refusal for one who may not ask, and where all are taken."""
        require_access(self.token, headers, subprotocols)
        if self.stopping.is_set():
            raise stopping()
        if self.sessions >= self.limits.sessions:
            raise Refusal(
                429, "sessions", f"all {self.limits.sessions} places of this server are taken; try again in a while"
            )
        self.sessions += 1
        self.metrics.sessions(way, 1)
        try:
            yield
        finally:
            self.sessions -= 1
            self.metrics.sessions(way, -1)

    async def unless_idle(self, coming: Coroutine[Any, Any, Item], seconds: float) -> Item:
        """What a caller sends next. Raises Refusal where nothing comes for so long, and when the server stops."""
        waiting = asyncio.ensure_future(coming)
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({waiting, stop}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            if stop.done():
                raise stopping()
            raise Refusal(408, "idle", f"nothing came for {seconds:g} s")
        finally:
            stop.cancel()
            waiting.cancel()
            await asyncio.wait({waiting})

    def stop(self) -> None:
        """Tell every session that it ends here."""
        self.stopping.set()
        self.batcher.stop()
