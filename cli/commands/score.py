"""Commands about benchmarks: what is there, and what raw results are worth."""

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
        list[Path], typer.Argument(metavar="RESULTS...", help="Raw results or scores, one per tracker.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.html and the plots.", metavar="DIR")],
    benchmark: Annotated[str | None, typer.Option(help="What raw results are of; with --gt.")] = None,
    gt: Annotated[Path | None, typer.Option(help="Ground truth, to score raw results now.")] = None,
    rule: Annotated[str | None, typer.Option(help="A scoring rule; the benchmark's first one by default.")] = None,
    as_json: Json = False,
) -> None:
    """Tables and plots of one or more trackers: an HTML file that needs nothing beside it, SVG and PNG."""
    from pipelines.evaluation.report import write_report

    with reporting(as_json) as tell:
        paths = [path.expanduser().absolute() for path in results]
        truth = None if gt is None else gt.expanduser().absolute()
        written = write_report(paths, out.expanduser().absolute(), benchmark=benchmark, gt=truth, rule=rule)
        tell({"files": [str(path) for path in written]}, lambda console: console.print(*written, sep="\n"))


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
