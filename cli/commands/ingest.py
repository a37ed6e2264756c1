"""`sstrack ingest`: videos and labelled sets become clips of a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import guarded, parse_settings, reporting

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


@guarded
def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SRC...",
            help="Files, folders, patterns, s3:// objects and prefixes, lists (@names.txt, .csv, .parquet).",
        ),
    ],
    out: Annotated[str, typer.Option(help="The dataset: a folder or an s3:// prefix.", metavar="DATASET")],
    options: Annotated[
        list[str] | None, typer.Option("--set", help="Setting name=value, may be given again.", metavar="K=V")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, max=4096, help="Default SSTRACK_WORKERS or all cores; 0 works in this process, without limits."
        ),
    ] = None,
    cluster: Annotated[
        str, typer.Option(help="Work on Ray, a private one or one that is joined.", metavar="local|auto|HOST:PORT")
    ] = "",
    layout: Annotated[
        str,
        typer.Option(
            help="Read labelled sequences of this layout only; without it they are recognised.",
            metavar="got10k|lasot|trackingnet|uav|otb|vot|tnl2k|folder|coco",
        ),
    ] = "",
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude-benchmarks", help="Drop clips that show these benchmarks' sequences.", metavar="ROOT"),
    ] = None,
    allow_benchmarks: Annotated[
        bool,
        typer.Option(
            "--allow-benchmarks", help="Take labelled sequences of benchmarks' test sets, which are left out otherwise."
        ),
    ] = False,
    retry_quarantined: Annotated[
        bool, typer.Option("--retry-quarantined", help="Try sources again that were set aside.")
    ] = False,
    report_to: Annotated[
        Path | None, typer.Option("--report", help="Also write the funnel report there, as one HTML file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Videos and labelled sets become clips of a dataset. What is known is not read again."""
    from pydantic import ValidationError

    from cli.bars import ingest_bar
    from pipelines.dataset.report.funnel import funnel_of
    from pipelines.dataset.report.html import write_report
    from pipelines.errors import UsageError
    from pipelines.ingest.config import IngestConfig
    from pipelines.ingest.find.lists import absolute_source
    from pipelines.ingest.run import ingest as run
    from pipelines.settings import absolute, settings

    try:
        config = IngestConfig.model_validate(parse_settings(options or []))
    except ValidationError as error:
        raise UsageError(f"--set {'; '.join(map(_problem, error.errors()))}") from error
    with reporting(as_json) as report, ingest_bar() as show:
        done = run(
            [absolute_source(source) for source in sources],
            absolute(out),
            config,
            workers=settings().workers if workers is None else workers,
            cluster=cluster,
            layout=layout,
            exclude=exclude or [],
            allow_benchmarks=allow_benchmarks,
            retry_quarantined=retry_quarantined,
            progress=show,
            pulse=show,
        )
        if report_to is not None:
            write_report(funnel_of(absolute(out), done.manifest), report_to.absolute())
        line = f"dataset {absolute(out)}, manifest {done.manifest}"
        report(done.as_dict(), lambda console: console.print(line, markup=False, soft_wrap=True))


def _problem(at: "ErrorDetails") -> str:
    """One wrong setting in words: what may stand there, or which names there are."""
    from difflib import get_close_matches

    from pipelines.ingest.config import IngestConfig

    name = ".".join(map(str, at["loc"]))
    if at["type"] != "extra_forbidden":
        return f"{name}: {at['msg']}" if name else at["msg"]
    known = sorted(IngestConfig.model_fields)
    near = get_close_matches(name, known, 3, cutoff=0.5)
    return f"{name}: there is no such setting; " + (
        f"you probably meant {' or '.join(near)}" if near else f"known are {', '.join(known)}"
    )
