"""`sstrack demo`: video to champion on embedded defaults."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import guarded, parse_settings
from cli.options import Set, Work, absolute
from pipelines.errors import GateRefused
from pipelines.processes import fork_supervised


@guarded
def demo(
    videos: Annotated[Path | None, typer.Option(help="A folder of your videos instead of the embedded ones.")] = None,
    work: Work = None,
    options: Set = None,
) -> None:
    """The model that ships, fine-tuned on video, compared, registered; ends with a table and the lines to type next."""
    fork_supervised()
    _on_terminal(absolute(videos), absolute(work), parse_settings(options or []))


def _on_terminal(videos: Path | None, work: Path | None, overrides: Mapping[str, Any]) -> None:
    """`run_demo` with stage lines and a closing table on standard output. GateRefused when the gate keeps the model."""
    from cli.demo.run import run_demo

    with os.fdopen(os.dup(1), "w") as terminal:
        if work is None:
            from pipelines.settings import settings

            work = settings().work / "demo"
        summary = run_demo(videos, work, overrides, terminal)
    from rich.console import Console

    from cli.demo.summary import demo_table, next_lines

    console = Console(soft_wrap=True)
    console.print(demo_table(summary), soft_wrap=False)
    console.print("Next:")
    for line in next_lines(summary):
        console.print(f"  {line}", highlight=False, markup=False)
    if summary.champion is None:
        raise GateRefused(summary.outcome)
