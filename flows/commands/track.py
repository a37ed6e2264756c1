"""`sstrack track`: follow targets through a person's own footage."""

from pathlib import Path
from typing import Annotated

import typer

from flows.console import absolute_model, guarded, parse_box, parse_settings, progress_bar, streaming

Box = tuple[float, float, float, float]


def add_to(app: typer.Typer) -> None:
    """Register this family."""
    app.command()(track)


@guarded
def track(
    source: Annotated[
        str,
        typer.Argument(metavar="VIDEO|FRAMES_DIR", help="Also - for a video on standard input, camera:0 for a camera."),
    ],
    box: Annotated[
        list[str] | None,
        typer.Option(help="A target on the first frame: x,y,w,h in pixels. May be given again.", metavar="X,Y,W,H"),
    ] = None,
    pick: Annotated[bool, typer.Option("--pick", help="Draw the targets on the first frame in a window.")] = False,
    model: Annotated[
        str,
        typer.Option(help="models:/<name>@<alias>, models:/<name>/<version>, untrained:<recipe>, or a package folder."),
    ] = "models:/sstrack@champion",
    out: Annotated[Path, typer.Option(help="x,y,w,h per frame; several targets: boxes.1.txt, boxes.2.txt, …")] = Path(
        "boxes.txt"
    ),
    render: Annotated[Path | None, typer.Option(help="Also draw boxes, scores and trails into this .mp4.")] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="Tracking option name=value.", metavar="K=V")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per frame on standard output, as they come.")
    ] = False,
) -> None:
    """Follow one or more targets through a video, a folder of frames, a stream or a camera."""
    from pipelines.errors import UsageError
    from pipelines.tracking.follow import follow

    place = _source(source)
    boxes = [parse_box(text) for text in box or []]
    if pick:
        boxes += _picked(place)
    if not boxes:
        raise UsageError("which target? Give --box x,y,w,h in pixels of the first frame, or --pick to draw it")
    with streaming(as_json) as (emit, say), progress_bar("track", "frames") as update:
        done = follow(
            absolute_model(model),
            place,
            boxes,
            out.expanduser().absolute(),
            render=None if render is None else render.expanduser().absolute(),
            options=parse_settings(options or []),
            each=(lambda answer: emit(answer.as_dict())) if as_json else None,
            progress=update,
        )
    ending = ", stopped by Ctrl-C" if done.interrupted else ""
    pictures = f", {done.render}" if done.render else ""
    say(f"{done.frames} frames at {done.fps:.1f} fps{ending}: {', '.join(done.boxes)}{pictures}")


def _source(source: str) -> str:
    from pipelines.tracking.footage import CAMERA, STREAM

    if source == STREAM or source.startswith(CAMERA):
        return source
    return str(Path(source).expanduser().absolute())


def _picked(source: str) -> list[Box]:
    from flows.pick import pick_boxes
    from pipelines.errors import UsageError
    from pipelines.frames import read_clip
    from pipelines.tracking.footage import CAMERA, STREAM

    if source == STREAM or source.startswith(CAMERA):
        raise UsageError("--pick needs footage that can be opened twice; save the stream to a file first")
    try:
        return pick_boxes(next(read_clip(Path(source))))
    except ValueError as error:
        raise UsageError(str(error)) from error
