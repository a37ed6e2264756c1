"""`sstrack track` and `export`: follow targets through footage, and take a model to where we are not installed."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from cli.console import absolute_model, guarded, parse_box, parse_settings, progress_bar, reporting, streaming
from cli.options import Model
from sstrack.pretrained import PRETRAINED

Box = tuple[float, float, float, float]


def add_to(app: typer.Typer) -> None:
    """Register this family."""
    app.command()(track)
    app.command()(export)


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
    model: Model = PRETRAINED,
    out: Annotated[Path, typer.Option(help="x,y,w,h per frame; several targets: boxes.1.txt, boxes.2.txt, …")] = Path(
        "boxes.txt"
    ),
    render: Annotated[Path | None, typer.Option(help="Also draw boxes, scores and trails into this .mp4.")] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="Tracking option name=value.", metavar="K=V")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Also show the frames in a window; Esc stops.")] = False,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda, cuda:1, ….")] = "auto",
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Compile the network; on a GPU also CUDA graphs. Slow start, for long videos."),
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of torch on a CPU; default by the network's size and the free cores.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per frame on standard output, as they come.")
    ] = False,
) -> None:
    """Follow one or more targets through a video, a folder of frames, a stream or a camera."""
    from cli.window import live_window
    from pipelines.errors import UsageError
    from pipelines.tracking.follow import follow

    place = _source(source)
    boxes = [parse_box(text) for text in box or []]
    if pick:
        boxes += _picked(place)
    if not boxes:
        raise UsageError("which target? Give --box x,y,w,h in pixels of the first frame, or --pick to draw it")
    with ExitStack() as closing:
        watch = closing.enter_context(live_window("--show")) if show else None
        emit, say = closing.enter_context(streaming(as_json))
        update = closing.enter_context(progress_bar("track", "frames"))
        done = follow(
            absolute_model(model),
            place,
            boxes,
            out.expanduser().absolute(),
            render=None if render is None else render.expanduser().absolute(),
            options=parse_settings(options or []),
            device=device,
            fast=fast,
            threads=threads,
            each=(lambda answer: emit(answer.as_dict())) if as_json else None,
            watch=watch,
            progress=update,
        )
    ending = ", stopped by hand" if done.interrupted else ""
    pictures = f", {done.render}" if done.render else ""
    say(f"{done.frames} frames at {done.fps:.1f} fps{ending}: {', '.join(done.boxes)}{pictures}")


@guarded
def export(
    out: Annotated[Path, typer.Option(help="The file to write: .onnx, or .pt2 for torch.export.load.")],
    model: Model = PRETRAINED,
    templates: Annotated[int | None, typer.Option(min=1, help="Template crops; default as the model tracks.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Sequences per call; default any number.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Write the network of one tracking step as ONNX or as an exported torch program, checked against the model."""
    from pipelines.errors import UsageError
    from pipelines.tracking.export import export_model

    if out.suffix not in (".onnx", ".pt2"):
        raise UsageError(f"--out {out}: give a file that ends in .onnx or .pt2")
    with reporting(as_json) as report:
        done = export_model(
            absolute_model(model),
            out.expanduser().absolute(),
            "onnx" if out.suffix == ".onnx" else "torch",
            templates=templates,
            batch=batch,
        )
        report(
            done.as_dict(),
            lambda console: console.print(f"{done.path}: {done.templates} templates, off by {done.difference:.1g}"),
        )


def _source(source: str) -> str:
    from pipelines.tracking.footage import CAMERA, STREAM

    if source == STREAM or source.startswith(CAMERA):
        return source
    return str(Path(source).expanduser().absolute())


def _picked(source: str) -> list[Box]:
    from cli.pick import pick_boxes
    from pipelines.errors import UsageError
    from pipelines.frames import read_clip
    from pipelines.tracking.footage import CAMERA, STREAM

    if source == STREAM or source.startswith(CAMERA):
        raise UsageError("--pick needs footage that can be opened twice; save the stream to a file first")
    try:
        return pick_boxes(next(read_clip(Path(source))))
    except ValueError as error:
        raise UsageError(str(error)) from error
