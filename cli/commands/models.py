"""Commands about the registry: what is there, who is champion, and the two doors through which a person changes it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cli.console import guarded, reporting

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the decision.")]
Expect = Annotated[
    str | None, typer.Option(help="The champion's number that this is decided against; default the present one.")
]


def add_to(app: typer.Typer) -> None:
    """Register this family."""
    models_app = typer.Typer(help="The registry of models.", no_args_is_help=True)
    models_app.command("list")(list_models)
    models_app.command("show")(show)
    models_app.command("history")(history)
    models_app.command("lineage")(lineage)
    models_app.command("promote")(promote)
    models_app.command("rollback")(rollback)
    app.add_typer(models_app, name="models")


@guarded
def list_models(as_json: Json = False) -> None:
    """All versions of the registered model."""
    from cli.tables import models_table
    from pipelines.registry.versions import versions
    from pipelines.settings import settings

    here = settings()
    with reporting(as_json) as report:
        rows = [version.as_dict() for version in versions(here.mlflow_uri, here.model_name)]
        report({"models": rows}, lambda console: console.print(models_table(here.model_name, here.mlflow_uri, rows)))


@guarded
def show(
    model: Annotated[str, typer.Argument(help="models:/<name>@<alias> or models:/<name>/<version>.")],
    as_json: Json = False,
) -> None:
    """One version: where it comes from, its scores, why it was promoted or not. Warns of files that are not its own."""
    from cli.tables import key_value_table
    from pipelines.registry.versions import doubt, find
    from pipelines.settings import settings

    here = settings()
    with reporting(as_json) as report:
        version = find(here.mlflow_uri, model)
        warning = doubt(here.mlflow_uri, version)
        if warning is not None:
            print(f"sstrack: warning: {warning}", file=sys.stderr)
        found = {**version.as_dict(), "warning": warning}
        report(found, lambda console: console.print(key_value_table(model, found)))


@guarded
def history(as_json: Json = False) -> None:
    """Every decision about the champion: who, when, why."""
    from pipelines.registry.promotion import journal_of
    from pipelines.settings import settings

    here = settings()
    with reporting(as_json) as report:
        entries = journal_of(here.mlflow_uri, here.model_name).entries()
        lines = [
            f"{entry.number:4d}  {entry.at:%Y-%m-%d %H:%M} UTC  {entry.action} version {entry.version}, champion "
            f"{entry.expected or 'none'} → {entry.state.champion or 'none'}, by {entry.actor}: {entry.reason}"
            for entry in entries
        ]
        report(
            {"decisions": [entry.model_dump(mode="json") for entry in entries]},
            lambda console: console.print(
                escape("\n".join(lines) or "nothing was decided yet"), highlight=False, soft_wrap=True
            ),
        )


@guarded
def lineage(
    model: Annotated[str | None, typer.Argument(help="A version's number, or models:/<name>@<alias>.")] = None,
    source: Annotated[str | None, typer.Option(help="A video's file or sha256: which versions learnt from it?")] = None,
    picture: Annotated[Path | None, typer.Option(help="Also draw it, PNG or SVG.")] = None,
    as_json: Json = False,
) -> None:
    """From a version to its videos, config and code; or, with --source, from a video to the versions."""
    from pipelines.errors import UsageError
    from pipelines.registry.lineage import draw, lineage_of, source_id, versions_of_source
    from pipelines.registry.versions import find
    from pipelines.settings import settings

    here = settings()
    if (model is None) == (source is None):
        raise UsageError("name a version, or a video with --source")
    with reporting(as_json) as report:
        if source is not None:
            found = versions_of_source(here.mlflow_uri, here.model_name, source_id(source))
            report(
                found, lambda console: console.print(escape("\n".join(_learnt(found))), highlight=False, soft_wrap=True)
            )
            return
        name = f"models:/{here.model_name}/{model}" if str(model).isdigit() else str(model)
        line = lineage_of(here.mlflow_uri, find(here.mlflow_uri, name))
        if picture is not None:
            draw(line, picture)
        text = escape("\n".join(line.lines()))
        report(line.as_dict(), lambda console: console.print(text, highlight=False, soft_wrap=True))


def _learnt(found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"version {each['version']} learnt from it" + (f" ({', '.join(each['aliases'])})" if each["aliases"] else "")
        for each in found["versions"]
    ] or ["no version is known to have learnt from it"]
    lines += [
        f"publish {each['uri']} without it: {each['clips']} clips in manifest {each['manifest']}; "
        f"`sstrack dataset withdraw {each['uri']} --source {found['source']} --reason WHY`"
        for each in found["datasets"]
    ]
    return lines + [f"version {version} cannot be told: {why}" for version, why in found["unknown"].items()]


@guarded
def promote(
    version: Annotated[str, typer.Argument(help="Its number, or models:/<name>/<number>.")],
    reason: Reason,
    expect: Expect = None,
    override: Annotated[bool, typer.Option("--override", help="Also one that no gate let pass.")] = False,
    as_json: Json = False,
) -> None:
    """Make a version the champion. Exit code 3 where the gate did not let it pass, or another one came first."""
    from pipelines.registry.actor import current_actor
    from pipelines.registry.promotion import checked_version, state_of
    from pipelines.registry.promotion import promote as move_to
    from pipelines.settings import settings

    here = settings()
    number = checked_version(here.model_name, version)
    with reporting(as_json) as report:
        done = move_to(
            here.mlflow_uri,
            here.model_name,
            number,
            expected=expect or state_of(here.mlflow_uri, here.model_name).champion,
            actor=current_actor(),
            reason=reason,
            override=override,
        )
        report(done.as_dict(), lambda console: console.print(done.outcome))


@guarded
def rollback(
    reason: Reason,
    to: Annotated[str | None, typer.Option(help="A former champion; default the previous one.")] = None,
    expect: Expect = None,
    as_json: Json = False,
) -> None:
    """Bring a former champion back, once however often it is given. The gate never promotes the replaced one again."""
    from pipelines.registry.actor import current_actor
    from pipelines.registry.promotion import checked_version, state_of
    from pipelines.registry.promotion import rollback as move_back
    from pipelines.settings import settings

    here = settings()
    number = None if to is None else checked_version(here.model_name, to)
    with reporting(as_json) as report:
        done = move_back(
            here.mlflow_uri,
            here.model_name,
            number,
            expected=expect or state_of(here.mlflow_uri, here.model_name).champion,
            actor=current_actor(),
            reason=reason,
        )
        report(done.as_dict(), lambda console: console.print(done.outcome))
