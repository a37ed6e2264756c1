"""Progress of an ingest and of a training on a terminal: a bar, or plain lines where it is none."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

from cli.console import progress_bar
from flows.ingest_progress import Lines as IngestLines
from flows.training_progress import in_words
from pipelines.ingest.progress import IngestProgress


@contextmanager
def ingest_bar() -> Iterator[Callable[[IngestProgress], None]]:
    """Yield what to call with each progress: it moves a bar on a terminal and writes lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield IngestLines()
        return
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(
        TextColumn("ingest"), BarColumn(), TextColumn("{task.description}"), console=console, transient=True
    ) as bar:
        row = bar.add_task("reading names", total=None)

        def show(at: IngestProgress) -> None:
            part = at.seconds if at.seconds_total else at.done
            bar.update(row, completed=part, total=at.seconds_total or at.total, description=at.line())

        yield show


@contextmanager
def training_bar() -> Iterator[Callable[[Mapping[str, float], int], None]]:
    """Yield what to call with each row: it moves a bar on a terminal and writes lines elsewhere."""
    with progress_bar("train", "steps") as update:
        yield lambda row, steps: update(int(row["step"]), steps, in_words(row))
