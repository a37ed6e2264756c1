"""Videos asked about as a whole: received or fetched, followed on a thread, answered in one object or line by line."""

import asyncio
import json
import logging
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, aclosing, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.serving.batcher import Box
from pipelines.serving.clips import ClipAnswer, track_clip
from pipelines.serving.refusals import GONE, Refusal
from pipelines.serving.service import Service
from pipelines.serving.words import box_of, box_of_text, object_of

log = logging.getLogger(__name__)

_WORDS_BYTES = 64 << 10
"""Bytes of a request that names a URI."""
_LOOK_S = 1.0

Item = TypeVar("Item")
Opened = Callable[[], AbstractContextManager[Path]]


async def track_upload(service: Service, request: Request, box: str, lines: bool) -> Response:
    """The body of the request is a video, `box` the target on its first frame.

    Raises Refusal, and ClientDisconnect where nobody waits for the answer any more.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(service.session("upload", request.headers))
        target = box_of_text(box)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sstrack-")))
        video = scratch / "video"
        with storage.explained(video, "keep"), video.open("wb") as file:
            async for piece in _body(service, request, service.limits.upload_bytes):
                file.write(piece)
        answers = _answers(service, "upload", lambda: _there(video), "the upload", target)
        return await _answered(service, request, "upload", answers, lines, stack)


async def track_uri(service: Service, request: Request, lines: bool) -> Response:
    """The body of the request is JSON with `uri` and `box`. Raises as `track_upload` does."""
    async with AsyncExitStack() as stack:
        stack.enter_context(service.session("uri", request.headers))
        said = object_of(b"".join([piece async for piece in _body(service, request, _WORDS_BYTES)]))
        uri = said.get("uri")
        if not isinstance(uri, str) or not uri:
            raise Refusal(422, "json", 'expected {"uri": "s3://…", "box": [x, y, w, h]}')
        target = box_of(said.get("box"))
        opened = lambda: service.roots.opened(uri, service.limits.upload_bytes)  # noqa: E731 - one line, used once
        return await _answered(service, request, "uri", _answers(service, "uri", opened, uri, target), lines, stack)


async def _body(service: Service, request: Request, most: int) -> AsyncIterator[bytes]:
    """The pieces of a request's body. Raises Refusal for more than `most` bytes, none, and one that does not come."""
    too_many = Refusal(413, "bytes", f"at most {most} bytes are taken")
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > most:
        raise too_many
    size, pieces = 0, request.stream()
    until = asyncio.get_running_loop().time() + service.limits.upload_s
    while True:
        left = until - asyncio.get_running_loop().time()
        if left <= 0:
            raise Refusal(408, "slow", f"the upload took more than {service.limits.upload_s:g} s")
        piece = await service.unless_idle(_next(pieces), min(left, service.limits.idle_s))
        if piece is None:
            break
        size += len(piece)
        if size > most:
            raise too_many
        yield piece
    if not size:
        raise Refusal(422, "video", "the request has no body; send the bytes of a video")


async def _next(items: AsyncIterator[Item]) -> Item | None:
    async for item in items:
        return item
    return None


@contextmanager
def _there(path: Path) -> Iterator[Path]:
    yield path


async def _answers(service: Service, way: str, opened: Opened, name: str, box: Box) -> AsyncGenerator[ClipAnswer]:
    """Answers as a thread of their own finds them; it ends after its current frame where this is closed early."""
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[ClipAnswer | SSTrackError | None] = asyncio.Queue()
    unwanted = threading.Event()

    def emit(item: ClipAnswer | SSTrackError | None) -> None:
        with suppress(RuntimeError):  # the loop has ended with the server, and nobody waits
            loop.call_soon_threadsafe(found.put_nowait, item)

    def follow() -> None:
        try:
            with (
                opened() as video,
                closing(track_clip(service.batcher, way, video, name, box, service.limits)) as answers,
            ):
                for one in answers:
                    emit(one)
                    if unwanted.is_set():
                        return
            emit(None)
        except SSTrackError as error:
            emit(error)
        except Exception:  # a mistake of ours in the reading of one video must not leave its caller waiting
            log.exception("following %s failed", name)
            emit(Refusal(500, "failed", "the server failed on this video; its log says how"))

    threading.Thread(target=follow, name=f"{way} of a video", daemon=True).start()
    try:
        while (item := await found.get()) is not None:
            if isinstance(item, SSTrackError):
                raise item
            yield item
    finally:
        unwanted.set()


async def _answered(
    service: Service,
    request: Request,
    way: str,
    answers: AsyncGenerator[ClipAnswer],
    lines: bool,
    stack: AsyncExitStack,
) -> Response:
    """The response to all answers; what `stack` holds is let go with its end. What is refused before the first answer
    is raised."""
    answers = _while_wanted(request, answers)
    await stack.enter_async_context(aclosing(answers))
    first = await anext(answers)
    if lines:
        return _Lines(_lines(service, way, first, answers), stack.pop_all())
    every = [first] + [one async for one in answers]
    service.metrics.ended(way, 200)
    return JSONResponse(
        {
            **_ending(service, every[-1]),
            "boxes": [one.answer.as_dict()["box"] for one in every],
            "scores": [one.answer.as_dict()["score"] for one in every],
            "absent": [one.answer.absent for one in every],
            "seconds": [round(one.seconds, 4) for one in every],
        }
    )


async def _while_wanted(request: Request, answers: AsyncGenerator[ClipAnswer]) -> AsyncGenerator[ClipAnswer]:
    """The answers until the caller has gone, which raises ClientDisconnect then."""
    async with aclosing(answers):
        coming = asyncio.ensure_future(_next(answers))
        try:
            while True:
                await asyncio.wait({coming}, timeout=_LOOK_S)
                if await request.is_disconnected():
                    raise ClientDisconnect
                if not coming.done():
                    continue
                one = coming.result()
                if one is None:
                    return
                yield one
                coming = asyncio.ensure_future(_next(answers))
        finally:
            coming.cancel()
            await asyncio.wait({coming})


def _ending(service: Service, last: ClipAnswer) -> dict[str, Any]:
    width, height = last.size
    frames = last.answer.frame + 1
    return {"model": service.model, "tracker": service.tracker, "frames": frames, "width": width, "height": height}


async def _lines(
    service: Service, way: str, first: ClipAnswer, answers: AsyncGenerator[ClipAnswer]
) -> AsyncIterator[bytes]:
    """A JSON object a line: each frame's, then what was followed, or what ended it."""
    last, status, reason = first, GONE, "gone"
    try:
        yield _line(first.as_dict())
        async for last in answers:
            yield _line(last.as_dict())
        status, reason = 200, ""
        yield _line(_ending(service, last))
    except Refusal as refusal:
        status, reason = refusal.status, refusal.reason
        yield _line(refusal.as_dict())
    except ClientDisconnect:
        pass  # counted as gone
    finally:
        service.metrics.ended(way, status, reason)


def _line(said: dict[str, Any]) -> bytes:
    return f"{json.dumps(said)}\n".encode()


class _Lines(StreamingResponse):
    """Lets go of what its request holds even where nobody is there to read the first line."""

    def __init__(self, content: AsyncIterator[bytes], holds: AsyncExitStack) -> None:
        super().__init__(content, media_type="application/x-ndjson")
        self._holds = holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._holds:
            await super().__call__(scope, receive, send)
