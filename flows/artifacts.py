"""Reports in the Prefect UI. Stable keys, so that the UI keeps a history of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

INGEST_REPORT = "ingest-report"
EVAL_LEADERBOARD = "eval-leaderboard"
PROMOTION_DECISION = "promotion-decision"


def ingest_report(dataset: str, report: Mapping[str, Any]) -> None:
    """What the dataset holds after an ingest, and why clips were dropped."""
    rejects = "\n".join(f"| {reason} | {count} |" for reason, count in sorted(report["rejects"].items()))
    create_markdown_artifact(
        key=INGEST_REPORT,
        description=f"Dataset {dataset}",
        markdown=(
            f"# {dataset}\n\n"
            f"Manifest `{report['manifest']}`, {'published by this run' if report['published'] else 'nothing new'}.\n\n"
            f"{report['clips']} clips ({report['clips_new']} new) in {report['shards']} shards, from "
            f"{report['seconds_in']:.0f} s of video; {report['sources_new']} sources new, "
            f"{report['sources_known']} known."
            f"\n\n| dropped because | count |\n|---|---|\n{rejects}\n"
        ),
    )


def leaderboard_row(model: str, metrics: Mapping[str, float]) -> dict[str, Any]:
    """One row of the leaderboard: the model and its numbers in percent."""
    return {"model": model, **{name: round(value, 1 if abs(value) > 1 else 3) for name, value in metrics.items()}}


def eval_leaderboard(benchmark: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Models by the metric that the benchmark ranks by, which is each row's second column; best first."""
    ordered = sorted(rows, key=lambda row: -next(value for name, value in row.items() if name != "model"))
    create_table_artifact(key=EVAL_LEADERBOARD, table=[dict(row) for row in ordered], description=benchmark)


def promotion_decision(decision: Mapping[str, Any]) -> None:
    """Promoted or kept, with every check in words."""
    reasons = "\n".join(f"- {reason}" for reason in decision["reasons"])
    create_markdown_artifact(
        key=PROMOTION_DECISION,
        description=decision["outcome"],
        markdown=(
            f"# {decision['outcome']}\n\n{reasons}\n\n"
            f"Version {decision['version']} of `{decision['model_name']}`, run key `{decision['run_key']}`, "
            f"champion now: version {decision['champion'] or 'none'}.\n"
        ),
    )
