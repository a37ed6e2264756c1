"""`sstrack evaluate`: measure a model on benchmarks."""

from typing import Annotated

import typer
from rich.console import Console

from cli.console import absolute_model, guarded, parse_settings, progress_bar, reporting
from cli.options import Json, Model, WorkersOption


@guarded
def evaluate(
    roots: Annotated[
        list[str], typer.Option("--root", help="The benchmark's folder, local or s3://; one for each --benchmark.")
    ],
    model: Model = "models:/sstrack@champion",
    benchmarks: Annotated[
        list[str] | None,
        typer.Option("--benchmark", help="See `sstrack benchmarks`; may be given again, each with its --root."),
    ] = None,
    out: Annotated[str | None, typer.Option(help="Raw results; default SSTRACK_RESULTS.", metavar="RESULTS")] = None,
    rule: Annotated[str | None, typer.Option(help="A scoring rule; each benchmark's first one by default.")] = None,
    workers: WorkersOption = None,
    threads: Annotated[
        int, typer.Option(min=1, max=256, help="Of torch in each worker; 1 gives the same bytes with any --workers.")
    ] = 1,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="Tracking option name=value.", metavar="K=V")
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, max=15, help="Runs per sequence (GOT-10k 3, VOT 15).")] = 1,
    realtime: Annotated[float | None, typer.Option(help="Simulate frames arriving at this rate, per second.")] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda, cuda:1, ….")] = "auto",
    batch: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Sequences in one batch; default 32 on a GPU, 1 on a CPU.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Track again what is there.")] = False,
    as_json: Json = False,
) -> None:
    """Measure a model on benchmarks. Raw results that exist are not made again."""
    from cli.tables import evaluation_table
    from pipelines.errors import UsageError
    from pipelines.evaluation.run import EvaluationReport, How, evaluate_all
    from pipelines.settings import absolute, settings

    names = benchmarks or ["folder"]
    if len(names) != len(roots):
        raise UsageError(
            f"{len(names)} --benchmark ({', '.join(names)}) for {len(roots)} --root: give each benchmark its folder, "
            "in the same order"
        )
    here = settings()
    how = How(
        workers=here.workers if workers is None else workers,
        tracking=parse_settings(options or []),
        rule=rule,
        repetitions=repetitions,
        realtime=realtime,
        device=device,
        batch=batch,
        threads=threads,
        force=force,
    )
    done: list[EvaluationReport] = []

    def show(console: Console) -> None:
        for one in done:
            console.print(evaluation_table(one))

    with reporting(as_json) as report, progress_bar("evaluate", "frames") as update:
        try:
            evaluate_all(
                absolute_model(model),
                list(zip(names, map(absolute, roots), strict=True)),
                absolute(out) if out else here.results,
                how,
                lambda name: lambda frames, total, note: update(frames, total, f"{name}: {note}"),
                done.append,
            )
        finally:  # what was measured is shown although another benchmark failed
            rows = [one.as_dict() for one in done]
            if rows:
                report(rows[0] if len(names) == 1 else {"benchmarks": rows}, show)
