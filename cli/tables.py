"""Rich tables for the command line. They show what the reports hold and compute nothing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from pipelines.evaluation.numbers import shown

if TYPE_CHECKING:
    from pipelines.evaluation.run import EvaluationReport
    from pipelines.evaluation.score import ScoreReport


def key_value_table(title: str, data: Mapping[str, Any]) -> Table:
    """One row per entry; a mapping inside an entry is spelled out."""
    table = Table(title=escape(title), show_header=False, title_justify="left")
    for key, value in data.items():
        if isinstance(value, Mapping):
            table.add_row(key, escape("\n".join(f"{name}: {part}" for name, part in value.items())))
        else:
            table.add_row(key, f"{value:.4g}" if isinstance(value, float) else escape(str(value)))
    return table


def evaluation_table(report: "EvaluationReport") -> Table:
    """Metrics over all sequences, then the one that ranks by sequence, worst first."""
    part = "" if report.sequences >= report.expected else f", {report.sequences} of {report.expected} sequences"
    title = f"{report.model} on {report.benchmark}, rule {report.rule}{part}"
    table = Table(title=escape(title), title_justify="left", caption_justify="left", min_width=72)
    headline = next(iter(report.metrics), "")
    table.add_column("sequence")
    table.add_column(headline, justify="right")
    for name, value in sorted(report.per_sequence.items(), key=lambda row: row[1]):
        table.add_row(escape(name), shown(headline, value))
    table.add_section()
    for name, value in report.metrics.items():
        table.add_row(f"all: {name}", shown(name, value))
    table.caption = f"{report.fps:.1f} frames/s per worker; raw results in {escape(report.results)}"
    return table


def score_table(report: "ScoreReport", rows: int = 20) -> Table:
    """Numbers over all sequences, the worst sequences, and everything that was counted."""
    title = f"{report.benchmark}, rule {report.rule}, {report.sequences} sequences"
    table = Table(title=title, title_justify="left", caption_justify="left", min_width=60)
    table.add_column("sequence")
    columns = list(next(iter(report.per_sequence.values()), {}))
    for name in columns:
        table.add_column(name, justify="right")
    names = sorted(report.per_sequence, key=lambda name: report.per_sequence[name].get(report.headline, 0.0))
    for name in names[:rows]:
        table.add_row(escape(name), *(shown(column, report.per_sequence[name][column]) for column in columns))
    if len(names) > rows:
        table.add_row(f"… {len(names) - rows} better ones", *("" for _ in columns))
    table.add_section()
    table.add_row(
        "all", *(shown(column, report.metrics[column]) if column in report.metrics else "" for column in columns)
    )
    others = {name: value for name, value in report.metrics.items() if name not in columns}
    lines = [", ".join(f"{name} {shown(name, value)}" for name, value in others.items())] if others else []
    lines += [f"{what}: {count}" for what, count in report.counted.items()]
    table.caption = escape("\n".join(lines))
    return table


def benchmark_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What can be measured, and what a root holds of it."""
    with_root = any(row["found"] is not None for row in rows)
    columns = ("name", "what", "protocol", "rules", "found" if with_root else "layout")
    table = Table(*columns, show_lines=True)
    for row in rows:
        last = _found(row) if with_root else row["layout"]
        table.add_row(row["name"], row["describe"], row["protocol"], ", ".join(row["rules"]) or "on a server", last)
    return table


def rule_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each rule in words."""
    return "\n\n".join(f"{name}: {text}" for row in rows for name, text in row["rule_texts"].items())


def _found(row: Mapping[str, Any]) -> str:
    lines = [f"{row['found']} of {row['expected'] or row['found']} sequences" if row["found"] else "nothing"]
    if row["found"] and row["missing"]:
        lines.append(f"missing: {', '.join(row['missing'][:5])}" + (" …" if len(row["missing"]) > 5 else ""))
    return "\n".join([*lines, *row["wrong"][:5]])


def models_table(name: str, uri: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Versions, newest first. Nothing is cut: what is wider than the terminal goes on in the next line."""
    table = Table(title=name, title_justify="left", min_width=72, show_lines=True)
    for column in ("version", "score", "trained on", "age", "run key"):
        table.add_column(column, overflow="fold")
    for row in rows:
        version = "\n".join((row["version"], *row["aliases"]))
        table.add_row(version, escape(row["score"]), escape(row["data"]), row["age"], escape(row["run_key"]))
    table.caption = escape(uri) if rows else f"nothing registered yet in {escape(uri)}"
    return table
