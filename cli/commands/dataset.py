"""Commands on a dataset: look at it, check it, take clips out of it, and keep it small."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands import judging
from cli.console import guarded, progress_bar, reporting

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="A folder or s3://bucket/prefix.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Digest = Annotated[str | None, typer.Option("--manifest", help="A manifest's digest; default the newest.")]

dataset_app = typer.Typer(help="Look at a dataset, check it, take clips out of it.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register this family."""
    judging.add_to(dataset_app)
    app.add_typer(dataset_app, name="dataset")


@dataset_app.command("verify")
@guarded
def verify(
    dataset: Dataset,
    manifest: Digest = None,
    decode: Annotated[float, typer.Option(min=0, max=1, help="Share of frames decoded in full.")] = 0.02,
    as_json: Json = False,
) -> None:
    """Is all there and undamaged? Digests, tars, indexes, tables, JPEGs. Exit code 1 with a list of what is wrong."""
    from pipelines.dataset.verify import verify as run
    from pipelines.settings import absolute

    with reporting(as_json) as report, progress_bar("verify", "shards") as update:
        found = run(absolute(dataset), manifest, decode=decode, progress=update)
        lines = [
            f"{found.shards} shards, {found.clips} clips, {found.frames} frames ({found.decoded} decoded in full)",
            *found.problems,
            f"{len(found.problems)} problem(s)" if found.problems else "whole",
        ]
        report(
            {**found.as_dict(), "whole": not found.problems},
            lambda console: console.print("\n".join(lines), markup=False, soft_wrap=True),
        )
    if found.problems:
        raise typer.Exit(1)


@dataset_app.command("export")
@guarded
def export(
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    frames: Annotated[bool, typer.Option("--frames", help="Folders of JPEGs instead of mp4 files.")] = False,
    clips: Annotated[int | None, typer.Option(min=1, help="At most this many clips.")] = None,
    manifest: Digest = None,
    as_json: Json = False,
) -> None:
    """Clips as plain files: mp4 or folders of JPEGs, with a JSON each. Run again, it goes on."""
    from pipelines.dataset.export import export as run
    from pipelines.settings import absolute

    folder = out.expanduser().absolute()
    with reporting(as_json) as report, progress_bar("export", "clips") as update:
        done = run(
            absolute(dataset), folder, "frames" if frames else "mp4", digest=manifest, most=clips, progress=update
        )
        report(done, lambda console: console.print(f"{folder}: {done['clips']} clips, {done['written']} new"))


@dataset_app.command("rebuild-index")
@guarded
def rebuild_index(dataset: Dataset, manifest: Digest = None, as_json: Json = False) -> None:
    """Make missing or wrong shard indexes again from the tars."""
    from pipelines.dataset.rebuild import rebuild_index as run
    from pipelines.settings import absolute

    with reporting(as_json) as report, progress_bar("rebuild-index", "shards") as update:
        done = run(absolute(dataset), manifest, progress=update)
        report(done, lambda console: console.print(f"{done['written']} of {done['shards']} indexes written"))


@dataset_app.command("compact")
@guarded
def compact(
    dataset: Dataset,
    shard_mib: Annotated[float, typer.Option(min=0.1, max=4096, help="Wanted size of a shard in MiB.")] = 192.0,
    as_json: Json = False,
) -> None:
    """Merge small shards into a child manifest with the same clips in the same order."""
    from pipelines.dataset.compact import compact as run
    from pipelines.settings import absolute

    with reporting(as_json) as report:
        done = run(absolute(dataset), shard_mib)
        line = f"{done['shards_before']} shards, now {done['shards_after']}; manifest {done['manifest']}"
        report(done, lambda console: console.print(line if done["published"] else f"nothing to merge; {line}"))


@dataset_app.command("withdraw")
@guarded
def withdraw(
    dataset: Dataset,
    source: Annotated[str, typer.Option(help="The video: its sha256, its file, or a name it was ingested under.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept with the dataset.")],
    as_json: Json = False,
) -> None:
    """Publish the dataset without one video, and name every registered version that learnt from it."""
    from pipelines.ingest.curate.withdraw import withdraw as run
    from pipelines.registry.lineage import versions_of_source
    from pipelines.settings import settings

    here = settings()
    with reporting(as_json) as report:
        done = run(dataset, source, reason)
        learnt = versions_of_source(here.mlflow_uri, here.model_name, done.source)
        found = {**done.as_dict(), "retire": learnt["versions"], "unknown": learnt["unknown"]}
        report(found, lambda console: console.print("\n".join(_told(found)), markup=False, soft_wrap=True))


def _told(found: Mapping[str, Any]) -> list[str]:
    if found["published"]:
        what = f"{found['clips']} clips withdrawn, {found['shards']} shards written anew; manifest {found['manifest']}"
    else:
        what = f"withdrawn before, nothing to do; manifest {found['manifest']}"
    retire = [
        f"retire version {each['version']}, which learnt from it"
        + (f" ({', '.join(each['aliases'])})" if each["aliases"] else "")
        for each in found["retire"]
    ] or ["no registered version is known to have learnt from it"]
    return [what, *retire, *(f"version {version} cannot be told: {why}" for version, why in found["unknown"].items())]


@dataset_app.command("prune")
@guarded
def prune(
    dataset: Dataset,
    hours: Annotated[float, typer.Option(min=0, help="Leave alone what was written later than this ago.")] = 168.0,
    keep: Annotated[int | None, typer.Option(min=1, help="Also drop all but this many newest manifests.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what no manifest names: leftovers of killed runs and, with --keep, old manifests' shards."""
    from pipelines.dataset.prune import prune as run
    from pipelines.settings import absolute

    with reporting(as_json) as report:
        done = run(absolute(dataset), hours=hours, keep=keep, dry_run=dry_run)
        verb = "would go" if dry_run else "removed"
        line = f"{done.files} files, {done.bytes / 2**20:.1f} MiB, {done.manifests} manifests {verb}"
        report(done.as_dict(), lambda console: console.print("\n".join([*done.removed, line]), soft_wrap=True))
