"""Commands about benchmarks: what is there, and what raw results are worth."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.console import absolute_model, guarded, reporting

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def add_to(app: typer.Typer) -> None:
    """Register this family."""
    app.command()(benchmarks)
    app.command()(score)
    app.command()(report)
    app.command()(submit)
    app.command()(convert)
    app.command("vot-entry")(vot_entry)
    app.command("trax", hidden=True)(trax)


@guarded
def benchmarks(
    root: Annotated[Path | None, typer.Option(help="Also say what is found there.")] = None,
    name: Annotated[str | None, typer.Option(help="Only this benchmark, with each rule in words.")] = None,
    as_json: Json = False,
) -> None:
    """Names, protocols, rules, expected layouts; with --root what was found, what is missing, which file is wrong."""
    from cli.tables import benchmark_table, rule_lines
    from pipelines.errors import UsageError
    from pipelines.evaluation.score import list_benchmarks

    with reporting(as_json) as report:
        rows = list_benchmarks(None if root is None else root.expanduser().absolute(), name)
        if not rows:
            raise UsageError(f"unknown benchmark {name!r}; see sstrack benchmarks")

        def show(console: Console) -> None:
            console.print(benchmark_table(rows))
            if name is not None:
                console.print(rule_lines(rows), markup=False)

        report({"benchmarks": rows}, show)


@guarded
def score(
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="See `sstrack benchmarks`.")],
    gt: Annotated[Path, typer.Option(help="The benchmark's root, annotation folder, json or zip.")],
    results: Annotated[Path, typer.Option(help="Folder or zip of one tracker's results.")],
    rule: Annotated[str | None, typer.Option(help="A scoring rule; the benchmark's first one by default.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Leave out sequences without a result.")] = False,
    as_json: Json = False,
) -> None:
    """Score raw results of any tracker. No frames are needed."""
    from cli.tables import score_table
    from pipelines.evaluation.score import score_files

    with reporting(as_json) as report:
        done = score_files(
            benchmark, gt.expanduser().absolute(), results.expanduser().absolute(), rule, partial=partial
        )
        report(done.as_dict(), lambda console: console.print(score_table(done)))


@guarded
def report(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RESULTS...", help="Raw results or scores, one per tracker; the first is looked at."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.html, plots and tables.", metavar="DIR")],
    benchmark: Annotated[str | None, typer.Option(help="What raw results are of; with --gt.")] = None,
    gt: Annotated[Path | None, typer.Option(help="Ground truth, to score raw results now.")] = None,
    rule: Annotated[str | None, typer.Option(help="A scoring rule; the benchmark's first one by default.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Tracker to compare the first with; default the champion, or the second.")
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Draw frames of the worst and the most changed sequences.")] = True,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """One or more trackers compared: an HTML page that needs nothing beside it, plots as SVG and PNG, tables as CSV."""
    from pipelines.evaluation.report.trackers import Given
    from pipelines.evaluation.report.write import write_report

    with reporting(as_json) as tell:
        given = Given(benchmark, None if gt is None else gt.expanduser().absolute(), rule)
        named = [_absolute_results(text) for text in results]
        written = write_report(named, out.expanduser().absolute(), given, against=against, pictures=pictures)
        files = [str(path) for path in (written.page, *written.files)]
        lines = (str(written.page), f"beside it {len(written.files)} files: plots as SVG and PNG, tables as CSV")
        tell({"page": files[0], "files": files}, lambda console: console.print(*lines, sep="\n", soft_wrap=True))
    if show:
        import webbrowser

        if not webbrowser.open(written.page.as_uri()):
            print(f"no browser here opens pages: open {written.page} yourself", file=sys.stderr)


def _absolute_results(text: str) -> str:
    """`[NAME=]PATH` with the path from the root."""
    from pipelines.settings import absolute

    name, sign, path = text.partition("=")
    return f"{name}={absolute(path)}" if sign and not Path(text).expanduser().exists() else absolute(text)


@guarded
def submit(
    kind: Annotated[str, typer.Argument(metavar="got10k|trackingnet", help="The server it goes to.")],
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Raw results on the test set.")],
    out: Annotated[Path, typer.Option(help="The zip to write.", metavar="FILE.zip")],
    root: Annotated[
        Path | None, typer.Option(help="The test set, to check that every frame of every clip has its row.")
    ] = None,
    as_json: Json = False,
) -> None:
    """A zip as the server takes it. Names, counts, lengths and numbers are checked before it is written."""
    from pipelines.evaluation.files import write_submission

    with reporting(as_json) as tell:
        place = None if root is None else root.expanduser().absolute()
        clips = write_submission(kind, results.expanduser().absolute(), out.expanduser().absolute(), place)
        tell({"zip": str(out.absolute()), "clips": clips}, lambda console: console.print(f"{out}: {clips} clips"))


@guarded
def convert(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Raw results in any format of the field.")],
    benchmark: Annotated[str, typer.Option(help="What they are results of.")],
    gt: Annotated[Path, typer.Option(help="Its ground truth, for names and lengths.")],
    to: Annotated[str, typer.Option(help="sstrack, pytracking, got10k, pysot or vot.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must not exist.", metavar="DIR")],
    as_json: Json = False,
) -> None:
    """Raw results of any tracker in another toolkit's format."""
    from pipelines.evaluation.files import convert_results

    with reporting(as_json) as tell:
        place, truth, target = (path.expanduser().absolute() for path in (results, gt, out))
        count = convert_results(benchmark, truth, place, to, target)
        tell({"out": str(target), "files": count}, lambda console: console.print(f"{out}: {count} files"))


@guarded
def vot_entry(
    model: Annotated[str, typer.Option(help="models:/<name>@<alias>, untrained:<recipe>, or a package folder.")],
    out: Annotated[Path, typer.Option(help="The VOT workspace.", metavar="DIR")],
    as_json: Json = False,
) -> None:
    """trackers.ini for the official `vot` command, which then drives our tracker over TraX."""
    from pipelines.evaluation.trax_server import write_entry

    with reporting(as_json) as tell:
        path = write_entry(absolute_model(model), out.expanduser().absolute())
        tell({"entry": str(path)}, lambda console: console.print(f"{path}: vot evaluate --workspace {out} sstrack"))


@guarded
def trax(model: Annotated[str, typer.Option(help="As for vot-entry.")]) -> None:
    """Speak TraX on standard input and output; the `vot` command starts this."""
    from pipelines.evaluation.trax_server import serve

    serve(model)
