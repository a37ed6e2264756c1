"""`sstrack serve`: a model behind HTTP and WebSocket, with a page to try it on."""

from contextlib import suppress
from typing import Annotated

import typer

from cli.console import absolute_model, guarded, parse_settings, streaming
from sstrack.pretrained import PRETRAINED


@guarded
def serve(
    model: Annotated[
        str,
        typer.Argument(help="pretrained, which ships; models:/<name>@<alias>; models:/<name>/<version>; a folder."),
    ] = PRETRAINED,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(help="What callers have to show; better in SSTRACK_TOKEN, where no process list shows it."),
    ] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder whose videos callers may name by path; or an s3:// prefix to keep them to.", metavar="DIR|S3"
        ),
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option("--limit", help="name=value, say sessions=8; docs/serving.md.", metavar="K=V")
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="Tracking option name=value.", metavar="K=V")
    ] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda, cuda:1, ….")] = "auto",
    fast: Annotated[
        bool, typer.Option("--fast", help="Compile the network; on a GPU also CUDA graphs. Slow first frames.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of torch on a CPU; default by the network's size and the free cores.")
    ] = None,
) -> None:
    """Follow targets for others: uploaded videos, videos by URI, and live frames; Ctrl-C ends it."""
    from pipelines.errors import UsageError
    from pipelines.serving.limits import limits_from
    from pipelines.serving.server import serve as run
    from pipelines.settings import settings

    if token is not None and not token.strip():
        raise UsageError("--token is empty; leave it out for none")
    with streaming(False) as (_, say):
        with suppress(KeyboardInterrupt):  # the usual end
            run(
                absolute_model(model),
                host=host,
                port=port,
                token=settings().token.get_secret_value() if token is None else token,
                roots=root or [],
                limits=limits_from(parse_settings(limit or [])),
                options=parse_settings(options or []),
                device=device,
                fast=fast,
                threads=threads,
                ready=lambda url: say(f"serving {model} at {url}   Ctrl-C ends it"),
            )
        say("stopped")
