"""The server's doors: which address is answered by what, and every refusal as one line of JSON."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.requests import ClientDisconnect

from pipelines.errors import SSTrackError
from pipelines.pages import html_page
from pipelines.serving.access import require_access
from pipelines.serving.live import follow_live
from pipelines.serving.refusals import GONE, Refusal
from pipelines.serving.service import Service
from pipelines.serving.uploads import track_upload, track_uri

_PAGE = Path(__file__).with_name("page")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page loads nothing from elsewhere, and no other page may frame it."""
_LINGER_S = 2.0
"""How long what a refused caller still sends is read: one who is cut off while sending never sees the answer."""

Lines = Annotated[bool, Query(description="A JSON object a line, as frames are answered.")]
BoxText = Annotated[str, Query(description="x,y,w,h in pixels of the first frame.")]


def build_app(service: Service) -> FastAPI:
    """The ASGI application of one service."""
    app = FastAPI(title="SSTrack", docs_url=None, redoc_url=None)  # their pages come from elsewhere

    @app.post("/track")
    async def track(request: Request, box: BoxText = "", lines: Lines = False) -> Response:
        return await _told(service, request, "upload", lambda: track_upload(service, request, box, lines))

    @app.post("/track/uri")
    async def track_there(request: Request, lines: Lines = False) -> Response:
        return await _told(service, request, "uri", lambda: track_uri(service, request, lines))

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await follow_live(service, socket)

    @app.get("/health")
    async def health() -> Response:
        well = service.batcher.alive and not service.stopping.is_set()
        return JSONResponse({"status": "ok" if well else "stopping"}, 200 if well else 503)

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        try:
            require_access(service.token, request.headers)
        except Refusal as refusal:
            return _refused(refusal)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/")
    async def page() -> Response:
        limits, asks = service.limits, bool(service.token)
        text = html_page(_PAGE / "page.html.j2", model=service.model, limits=limits, asks_token=asks)
        return HTMLResponse(text, headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"})

    @app.get("/page.css")
    async def style() -> Response:
        return FileResponse(_PAGE / "page.css", media_type="text/css")

    @app.get("/page.js")
    async def script() -> Response:
        return FileResponse(_PAGE / "page.js", media_type="text/javascript")

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{'.'.join(map(str, at['loc']))}: {at['msg']}" for at in error.errors())
        return _refused(Refusal(422, "query", said))

    return app


async def _told(service: Service, request: Request, way: str, doing: Callable[[], Awaitable[Response]]) -> Response:
    """The response, or why there is none."""
    try:
        return await doing()
    except Refusal as refusal:
        service.metrics.ended(way, refusal.status, refusal.reason)
        await _linger(request)
        return _refused(refusal)
    except SSTrackError as error:  # the server's own trouble, a full disk say
        service.metrics.ended(way, 500, "failed")
        return _refused(Refusal(500, "failed", str(error)))
    except ClientDisconnect:
        service.metrics.ended(way, GONE, "gone")
        return Response(status_code=GONE)


async def _linger(request: Request) -> None:
    with suppress(ClientDisconnect, TimeoutError, RuntimeError):  # RuntimeError: the body was read to its end before
        async with asyncio.timeout(_LINGER_S):
            async for _ in request.stream():
                pass


def _refused(refusal: Refusal) -> Response:
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "5"}, 503: {"Retry-After": "5"}}
    return JSONResponse(refusal.as_dict(), refusal.status, headers.get(refusal.status))
