"""The metrics of a run: one JSON line per report in `metrics.jsonl`, written by rank 0, followed by whoever watches."""

import json
from pathlib import Path

_NAME = "metrics.jsonl"


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Rows of a run, oldest first, `step` in each; a last line that a crash cut is left out."""
    path = folder / _NAME
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def add_metrics(folder: Path, step: int, row: dict[str, float]) -> None:
    """Append the row of one step."""
    with (folder / _NAME).open("a") as file:
        file.write(json.dumps({"step": step, **row}) + "\n")


def trim_metrics(folder: Path, step: int) -> None:
    """Drop rows past `step`, so that steps that are done again are not written twice."""
    rows = [row for row in read_metrics(folder) if row["step"] <= step]
    draft = folder / f".{_NAME}.tmp"
    draft.write_text("".join(json.dumps(row) + "\n" for row in rows))
    draft.replace(folder / _NAME)
