"""Options that several commands share, spelled once."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="name=value, may be given again.", metavar="K=V")]
Work = Annotated[Path | None, typer.Option(help="Folder for everything made; default SSTRACK_WORK or ~/.sstrack.")]
WorkersOption = Annotated[int | None, typer.Option(min=0, max=4096, help="Default SSTRACK_WORKERS or all cores.")]
Model = Annotated[
    str,
    typer.Option(
        help="pretrained, which ships; models:/<name>@<alias>; models:/<name>/<version>; untrained:<recipe>; or a "
        "package folder."
    ),
]


def absolute(path: Path | None) -> Path | None:
    """The path from the root, `~` spelled out."""
    return None if path is None else path.expanduser().absolute()
