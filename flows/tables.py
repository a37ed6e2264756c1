"""Rich tables for the command line. They show what the reports hold and compute nothing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from flows.demo import DemoSummary
    from pipelines.evaluation.run import EvaluationReport


def key_value_table(title: str, data: Mapping[str, Any]) -> Table:
    """One row per entry; a mapping inside an entry is spelled out."""
    table = Table(title=title, show_header=False, title_justify="left")
    for key, value in data.items():
        if isinstance(value, Mapping):
            table.add_row(key, "\n".join(f"{name}: {part}" for name, part in sorted(value.items())))
        else:
            table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    return table


def evaluation_table(report: "EvaluationReport") -> Table:
    """Metrics over all sequences, then AO by sequence, worst first."""
    title = f"{report.model} on {report.benchmark}, rule {report.rule}"
    table = Table(title=title, title_justify="left", caption_justify="left", min_width=72)
    table.add_column("sequence")
    table.add_column("AO %", justify="right")
    for name, value in sorted(report.per_sequence.items(), key=lambda row: row[1]):
        table.add_row(name, f"{value:.1f}")
    table.add_section()
    for name, value in report.metrics.items():
        table.add_row(f"mean {name}", f"{value:.1f}")
    table.caption = f"{report.fps:.1f} frames/s per worker; raw results in {report.results}"
    return table


def benchmark_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What can be measured."""
    table = Table("name", "what", "rules", "layout", "found")
    for row in rows:
        table.add_row(row["name"], row["describe"], ", ".join(row["rules"]), row["layout"], row["found"])
    return table


def models_table(name: str, uri: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Versions, newest first."""
    table = Table(
        "version", "aliases", "run key", "manifest", "registered", title=name, title_justify="left", min_width=72
    )
    for row in rows:
        table.add_row(row["version"], ", ".join(row["aliases"]), row["run_key"], row["manifest"][:12], row["created"])
    table.caption = uri if rows else f"nothing registered yet in {uri}"
    return table


def demo_table(summary: "DemoSummary") -> Table:
    """What the demo made."""
    dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(summary.rejects.items())) or "none"
    table = Table(show_header=False, title="SSTrack demo", title_justify="left")
    table.add_row("video", f"{summary.seconds_of_video:.0f} s")
    table.add_row("clips", f"{summary.clips} kept; dropped: {dropped}")
    table.add_row("training", f"{summary.steps} steps, loss {summary.loss_start:.2f} → {summary.loss_end:.2f}")
    table.add_row("AO trained", f"{summary.ao_trained:.1f} %")
    table.add_row("AO untrained start", f"{summary.ao_untrained:.1f} %")
    table.add_row("AO box that never moves", f"{summary.ao_static:.1f} %")
    table.add_row("champion", f"version {summary.champion}" if summary.champion else "none")
    table.add_row("gate", "\n".join((summary.outcome, *summary.reasons)))
    table.add_row("picture", str(summary.picture))
    table.add_row("took", f"{summary.seconds:.0f} s{', found done' if summary.found else ''}")
    return table
