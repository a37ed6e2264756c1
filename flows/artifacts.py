"""Reports in the Prefect UI. Stable keys, so that the UI keeps a history of each."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

INGEST_REPORT = "ingest-report"
EVAL_LEADERBOARD = "eval-leaderboard"
EVAL_REPORT = "eval-report"
RETRAIN_PLAN = "retrain-plan"
PROMOTION_DECISION = "promotion-decision"
MLFLOW_RUN = "mlflow-run"
HEALTH = "health"
_PICTURES = 12
_PICTURES_BYTES = 1_500_000
"""More than this an artifact does not hold: the page in the browser would wait for it."""


def ingest_report(dataset: str, report: Mapping[str, Any], reports: Path) -> None:
    """From video to clips: counts, seconds lost for each reason, histograms, a contact sheet. The same as one HTML
    file is made in the folder `reports` once a manifest, and named."""
    from pipelines.dataset.report.contact_sheet import draw_thumbnail
    from pipelines.dataset.report.funnel import funnel_of
    from pipelines.dataset.report.html import write_report
    from pipelines.dataset.report.text import markdown

    funnel = funnel_of(dataset, report["manifest"])
    page = reports / f"ingest-{report['manifest'][:16]}.html"
    if not page.exists():
        write_report(funnel, page)
    done = (
        f"{'Published' if report['published'] else 'Nothing new was found'} by this run: {report['clips_new']} new "
        f"clips, {report['sources_new']} sources new, {report['sources_known']} known. The whole report: `{page}`.\n"
    )
    text = markdown(funnel, draw_thumbnail(dataset, _PICTURES))
    create_markdown_artifact(key=INGEST_REPORT, description=f"Dataset {dataset}", markdown=f"{text}\n{done}")


def mlflow_run(uri: str, run_id: str, page: str | None) -> None:
    """Where the training that this flow run asked for is recorded: a link where MLflow is a server."""
    if page is not None:
        create_link_artifact(page, link_text=f"MLflow run {run_id}", key=MLFLOW_RUN)
        return
    create_markdown_artifact(
        key=MLFLOW_RUN,
        description=f"MLflow run {run_id}",
        markdown=f"MLflow run `{run_id}` in `{uri}`. `mlflow ui --backend-store-uri {uri}` shows it.",
    )


def leaderboard_row(model: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the leaderboard: the model, its numbers in percent, and how sure the first of them is."""
    rounded = {name: round(value, 1 if abs(value) > 1 else 3) for name, value in report["metrics"].items()}
    return {"model": model, **rounded, "95 % of first": _interval(report)}


def _interval(report: Mapping[str, Any]) -> str:
    """Of the number that ranks, over other sequences of this kind; empty where it is no mean over sequences."""
    from sstrack.benchmarks.bootstrap import intervals, mean_parts

    values = np.array(list(report["per_sequence"].values()))
    first = next(iter(report["metrics"].values()))
    if len(values) < 2 or not abs(values.mean() - first) < 0.01:
        return ""
    low, high = intervals({"first": mean_parts(values)})["first"]
    return f"{low:.1f} to {high:.1f}"


def eval_leaderboard(benchmark: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Models by the metric that the benchmark ranks by, which is each row's second column; best first."""
    ordered = sorted(rows, key=lambda row: -next(value for name, value in row.items() if name != "model"))
    create_table_artifact(key=EVAL_LEADERBOARD, table=[dict(row) for row in ordered], description=benchmark)


def eval_report(page: Path, link: str | None = None) -> None:
    """The report of an evaluation: its pictures, where it is, and a `link` to it where a browser can follow one. A
    picture that is too large for Prefect's page is named."""
    from pipelines.evaluation.report.write import card_pictures

    left, shown = _PICTURES_BYTES, list[str]()
    for path in card_pictures(page):
        data = path.read_bytes()
        if len(data) > left:
            shown.append(f"Too large to show: `{path}`")
            continue
        left -= len(data)
        shown.append(f"![{path.stem}]({_as_uri(path, data)})")
    where = [f"The whole report: `{page}`.", *([f"[The same in MLflow]({link})"] if link else [])]
    create_markdown_artifact("\n\n".join([*where, *shown]), key=EVAL_REPORT, description="Report of the evaluation")


def _as_uri(path: Path, data: bytes) -> str:
    kind = "png" if path.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def retrain_plan(decision: str, reasons: Sequence[str]) -> None:
    """What a retrain is about to do and why, before it does it."""
    told = "\n".join(f"- {reason}" for reason in reasons)
    create_markdown_artifact(f"# Plan\n\n{decision}\n\n{told}\n", key=RETRAIN_PLAN, description=decision)


def promotion_decision(decision: Mapping[str, Any]) -> None:
    """Promoted or kept, with every check in words."""
    reasons = "\n".join(f"- {reason}" for reason in decision["reasons"])
    create_markdown_artifact(
        key=PROMOTION_DECISION,
        description=decision["outcome"],
        markdown=(
            f"# {decision['outcome']}\n\n{reasons}\n\n"
            f"Version {decision['version']} of `{decision['model_name']}`, run key `{decision['run_key']}`, "
            f"champion now: version {decision['champion'] or 'none'}.\n{_to_version(decision['page'])}"
        ),
    )


def champion_move(name: str, move: Mapping[str, Any], actor: str, reason: str, page: str | None) -> None:
    """A person's promotion or rollback; `page` is the new champion's, where MLflow is a server."""
    create_markdown_artifact(
        key=PROMOTION_DECISION,
        description=move["outcome"],
        markdown=(
            f"# {move['outcome']}\n\n{reason}\n\nDecided by {actor}. Champion of `{name}` now: version "
            f"{move['champion']}; a rollback leads to {_called(move['previous'])}.\n{_to_version(page)}"
        ),
    )


def health(alarms: Sequence[str], lines: Sequence[str]) -> None:
    """Alarms, then how things stand."""
    told = "\n".join(f"- **{alarm}**" for alarm in alarms) or "No alarm."
    create_markdown_artifact(
        key=HEALTH,
        description=f"{len(alarms)} alarms" if alarms else "all is well",
        markdown=f"# Health\n\n{told}\n\n" + "\n".join(f"- {line}" for line in lines if not line.startswith("ALARM")),
    )


def _to_version(page: str | None) -> str:
    """A link to the version's card, which leads on to its training, its data and its report."""
    return "" if page is None else f"\n[The version in MLflow]({page}): its card, training, data and report.\n"


def _called(version: str | None) -> str:
    return "nothing" if version is None else f"version {version}"
