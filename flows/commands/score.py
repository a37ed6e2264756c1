"""Commands about benchmarks: what is there, and what raw results are worth."""

from pathlib import Path
from typing import Annotated

import typer

from flows.console import guarded, reporting

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def add_to(app: typer.Typer) -> None:
    """Register this family."""
    app.command()(benchmarks)
    app.command()(score)


@guarded
def benchmarks(
    root: Annotated[Path | None, typer.Option(help="Also say what is found there.")] = None,
    name: Annotated[str | None, typer.Option(help="Only this benchmark, with each rule in words.")] = None,
    as_json: Json = False,
) -> None:
    """Names, protocols, rules, expected layouts; with --root what was found, what is missing, which file is wrong."""
    from flows.tables import benchmark_table
    from pipelines.errors import UsageError
    from pipelines.evaluation.score import list_benchmarks

    with reporting(as_json) as report:
        rows = list_benchmarks(None if root is None else root.expanduser().absolute(), name)
        if not rows:
            raise UsageError(f"unknown benchmark {name!r}; see sstrack benchmarks")
        report({"benchmarks": rows}, lambda console: console.print(benchmark_table(rows)))


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
    from flows.tables import score_table
    from pipelines.evaluation.score import score_files

    with reporting(as_json) as report:
        done = score_files(
            benchmark, gt.expanduser().absolute(), results.expanduser().absolute(), rule, partial=partial
        )
        report(done.as_dict(), lambda console: console.print(score_table(done)))
