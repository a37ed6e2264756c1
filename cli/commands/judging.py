"""Commands that judge and show a dataset: what it holds, how it came to that, and what other limits would keep."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.console import guarded, parse_settings, reporting

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Dataset = Annotated[str, typer.Argument(metavar="DATASET")]


def add_to(app: typer.Typer) -> None:
    """Register this family; `app` is `sstrack dataset`."""
    app.command()(info)
    app.command()(sheet)
    app.command()(refilter)


@guarded
def info(
    dataset: Dataset,
    report_to: Annotated[
        Path | None, typer.Option("--report", help="Also write the funnel report there, as one HTML file.")
    ] = None,
    prometheus: Annotated[
        Path | None, typer.Option(help="Also write the counters there, for Prometheus' textfile collector.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a dataset holds, what was dropped on the way to it, and how to read it. All numbers with --json."""
    from cli.tables import key_value_table
    from pipelines import storage
    from pipelines.dataset.manifest import load_manifest
    from pipelines.dataset.modes import recommended_mode
    from pipelines.dataset.report.funnel import funnel_of
    from pipelines.dataset.report.html import write_report
    from pipelines.dataset.report.text import prometheus_text, story
    from pipelines.settings import absolute, settings

    with reporting(as_json) as report:
        uri = absolute(dataset)
        funnel = funnel_of(uri)
        data: dict[str, Any] = funnel.as_dict()
        threads = settings().loader_threads
        mode = recommended_mode(load_manifest(uri), ranks=1, workers=threads, remote=not storage.is_local(uri))
        data["reading"], data["reading_reason"] = mode
        told: dict[str, Any] = {**story(funnel), "to train": f"data.reading={mode[0]}: {mode[1]}"}
        if report_to is not None:
            write_report(funnel, report_to.absolute())
            data["report"] = told["report"] = str(report_to.absolute())
        if prometheus is not None:
            storage.write_atomic(str(prometheus.absolute()), prometheus_text(funnel).encode())

        def show(console: Console) -> None:
            console.print(key_value_table(uri, told))
            parent = f", a child of {data['parent'][:12]}" if data["parent"] else ", the first"
            console.print(f"manifest {data['manifest']}{parent}", soft_wrap=True)

        report(data, show)


@guarded
def sheet(
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("sheet.png"),
    clips: Annotated[int, typer.Option(min=1, max=400, help="At most this many clips, evenly chosen.")] = 24,
    as_json: Json = False,
) -> None:
    """A contact sheet of clips with their seed boxes, as a PNG."""
    from pipelines.dataset.report.contact_sheet import write_sheet
    from pipelines.settings import absolute

    with reporting(as_json) as report:
        drawn = write_sheet(absolute(dataset), out.absolute(), clips)
        report({"sheet": str(out.absolute()), "clips": drawn}, lambda console: console.print(f"{out}: {drawn} clips"))


@guarded
def refilter(
    dataset: Dataset,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="A limit, name=value; may be given again.", metavar="K=V")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude-benchmarks", help="Drop clips that show these benchmarks' sequences.", metavar="ROOT"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be kept.")] = False,
    as_json: Json = False,
) -> None:
    """Judge clips again by their kept scores and publish a child manifest. No video is read, no frame encoded."""
    from cli.tables import key_value_table
    from pipelines.ingest.curate.refilter import refilter as run

    with reporting(as_json) as report:
        done = run(dataset, parse_settings(options or []), exclude=exclude or (), publish=not dry_run).as_dict()
        report(done, lambda console: console.print(key_value_table(dataset, done)))
