"""Frames over a WebSocket: a session begins with a box and its first frame, each frame is answered, an end ends it.

The client says `{"type": "start", "box": [x, y, w, h]}` and then sends pictures, JPEG or PNG, as binary messages. It
may send some before their answers have come: while one is in the network the next ones are decoded. `{"type": "end"}`
is answered with the number of frames, and another start may follow. What is wrong is said once, and the connection
closed with 4000 plus the HTTP status that would go with it.
"""

import asyncio
from collections.abc import MutableMapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse

from pipelines.serving.access import SUBPROTOCOL
from pipelines.serving.batcher import Answer, Box, Lane
from pipelines.serving.pictures import decode_picture
from pipelines.serving.refusals import GONE, Refusal, stopping
from pipelines.serving.service import Service
from pipelines.serving.words import box_of, object_of

_AHEAD = 3
"""Decoded frames of a session that wait for their answer; what comes beyond is left in the system's buffers."""
_REASON_BYTES = 120
"""What a closing message has room for."""
_CLOSE = 4000
_CLOSE_S = 2.0


async def follow_live(service: Service, socket: WebSocket) -> None:
    """Serve one connection until it ends, one session after the other."""
    offered: list[str] = socket.scope["subprotocols"]
    try:
        with service.session("live", socket.headers, offered):
            await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
            await _Connection(service, socket).serve()
    except Refusal as refusal:  # before it was accepted
        service.metrics.ended("live", refusal.status, refusal.reason)
        await socket.send_denial_response(JSONResponse(refusal.as_dict(), refusal.status))


@dataclass(frozen=True)
class _Ended:
    """A session of `frames` frames that its client has ended."""

    lane: Lane
    frames: int


@dataclass
class _Connection:
    service: Service
    socket: WebSocket
    lane: Lane | None = None
    """Of the session that runs."""
    box: Box | None = None
    """Of a session whose first frame has not come."""
    frames: int = 0
    """That have come in the session."""
    unanswered: int = 0
    to_say: "asyncio.Queue[Future[Answer] | _Ended | Refusal]" = field(default_factory=lambda: asyncio.Queue(_AHEAD))
    """In order: answers to come, ends of sessions, or why all of it ends."""

    async def serve(self) -> None:
        """Read and answer side by side until one of them ends."""
        status, reason = 200, ""
        try:
            async with asyncio.TaskGroup() as group:
                for task in (self._read(), self._say(), self._stop()):
                    group.create_task(task)
        except* Refusal as refused:
            refusal = refused.exceptions[0]
            assert isinstance(refusal, Refusal)
            status, reason = refusal.status, refusal.reason
            await self._refuse(refusal)
        except* WebSocketDisconnect:
            if self.lane is not None and not reason:
                status, reason = GONE, "gone"
        finally:
            if self.lane is not None:
                self.service.batcher.close(self.lane)
            self.service.metrics.ended("live", status, reason)

    async def _read(self) -> None:
        try:
            while True:
                message = await self._received()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message.get("code", 1005))
                if message.get("text") is not None:
                    await self._command(object_of(message["text"]))
                else:
                    await self._picture(message["bytes"])
        except Refusal as refusal:
            await self.to_say.put(refusal)  # behind the answers to what came before

    async def _received(self) -> MutableMapping[str, Any]:
        while True:
            try:
                async with asyncio.timeout(self.service.limits.idle_s):
                    return await self.socket.receive()
            except TimeoutError as error:
                if not self.unanswered:  # else it is us whom the client waits for
                    raise Refusal(408, "idle", f"nothing came for {self.service.limits.idle_s:g} s") from error

    async def _command(self, said: dict[str, Any]) -> None:
        kind = said.get("type")
        if kind == "start" and self.lane is None:
            self.box, self.lane, self.frames = box_of(said.get("box")), Lane("live"), 0
        elif kind == "end" and self.lane is not None:
            await self.to_say.put(_Ended(self.lane, self.frames))
            self.lane = None
        elif kind in ("start", "end"):
            known = "a session runs; end it before the next start" if self.lane else "there is no session to end"
            raise Refusal(422, "order", known)
        else:
            raise Refusal(422, "json", 'expected {"type": "start", "box": [x, y, w, h]}, pictures, {"type": "end"}')

    async def _picture(self, data: bytes) -> None:
        limits = self.service.limits
        if self.lane is None:
            raise Refusal(422, "order", 'a picture came before {"type": "start", "box": [x, y, w, h]}')
        if len(data) > limits.frame_bytes:
            raise Refusal(413, "bytes", f"a picture of {len(data)} bytes; at most {limits.frame_bytes} are taken")
        frame = await asyncio.to_thread(decode_picture, data, limits.frame_pixels)
        answer, self.box = self.service.batcher.put(self.lane, frame, self.box), None
        self.frames += 1
        self.unanswered += 1
        await self.to_say.put(answer)

    async def _say(self) -> None:
        while True:
            item = await self.to_say.get()
            if isinstance(item, Refusal):
                raise item
            if isinstance(item, _Ended):
                self.service.batcher.close(item.lane)
                await self._send({"ended": True, "frames": item.frames})
            else:
                answer = await asyncio.wrap_future(item)
                self.unanswered -= 1
                await self._send(answer.as_dict())

    async def _send(self, said: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self.service.limits.idle_s):
                await self.socket.send_json(said)
        except TimeoutError as error:
            raise Refusal(408, "idle", "the answers are not read") from error

    async def _stop(self) -> None:
        await self.service.stopping.wait()
        raise stopping()

    async def _refuse(self, refusal: Refusal) -> None:
        """Say why, and close. A client that is gone, or does not read, is left."""
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):  # RuntimeError: the closing was said already
            async with asyncio.timeout(_CLOSE_S):
                await self.socket.send_json(refusal.as_dict())
                reason = str(refusal).encode()[:_REASON_BYTES].decode(errors="ignore")
                await self.socket.close(_CLOSE + refusal.status, reason)
