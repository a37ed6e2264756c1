"""A report on one or more trackers: one HTML file that needs nothing beside it, and its plots as files."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.plots import TITLES, draw
from pipelines.evaluation.score import SCORES, ScoreReport, find_rule, read_truths, report_of, score_one

_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0 1.6em}
td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:0 1em 1em 0}figure img{max-width:34em}
details{margin:.4em 0 1em}.note{color:#555}"""


def write_report(
    results: Sequence[Path], out: Path, *, benchmark: str | None = None, gt: Path | None = None, rule: str | None = None
) -> list[Path]:
    """Write `report.html` and one SVG and PNG per plot into `out`; returns them.

    Args:
        results: per tracker a folder of raw results (with `gt`), or a folder or file with the scores that
            `sstrack evaluate` or `sstrack score --json` left.
        out: folder, made if needed.
        benchmark: of raw results; not needed where the scores are there.
        gt: its ground truth, to score raw results now.
        rule: as for scoring.

    Raises:
        UsageError: results without scores and no `gt` and `benchmark` to make them.
        SSTrackError: results that cannot be scored, scores that cannot be read.
    """
    reports = {label: _load(path, benchmark, gt, rule) for label, path in _labels(results).items()}
    groups: dict[tuple[str, str], dict[str, ScoreReport]] = {}
    for label, report in reports.items():
        groups.setdefault((report.benchmark, report.rule), {})[label] = report
    written: list[Path] = []
    sections: list[str] = []
    for (name, used), members in groups.items():
        figures: list[str] = []
        for kind in TITLES:
            lines = {
                f"{label} [{_best(kind, report)}]": (report.curves[kind]["x"], report.curves[kind]["y"])
                for label, report in _ranked(members).items()
                if kind in report.curves
            }
            if not lines:
                continue
            plot = draw(kind, lines)
            for form, data in (("svg", plot.svg), ("png", plot.png)):
                path = out / f"{name}-{used}-{kind}.{form}"
                storage.write_atomic(str(path), data)
                written.append(path)
            picture = base64.b64encode(plot.svg).decode()
            title = html.escape(TITLES[kind][0])
            figures.append(f'<figure><img alt="{title}" src="data:image/svg+xml;base64,{picture}"></figure>')
        sections.append(_section(name, used, members, figures))
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tracking report</title>'
        f"<style>{_STYLE}</style></head><body><h1>Tracking report</h1>{''.join(sections)}</body></html>\n"
    )
    path = out / "report.html"
    storage.write_atomic(str(path), page.encode())
    return [path, *written]


def _labels(results: Sequence[Path]) -> dict[str, Path]:
    """Names of trackers: the last part of each path that tells them apart."""
    if not results:
        raise UsageError("name at least one result folder or score file")
    labels: dict[str, Path] = {}
    for path in results:
        own = path.stem if path.suffix == ".json" else path.name
        parts = [own, *(part for part in reversed(path.parts[:-1]))]
        label = next((p for p in parts if p not in labels and p not in ("one_pass", "baseline", "results")), str(path))
        labels[label] = path
    return labels


def _load(path: Path, benchmark: str | None, gt: Path | None, rule: str | None) -> ScoreReport:
    if gt is not None and path.suffix != ".json":
        if benchmark is None:
            raise UsageError("--gt needs --benchmark, the name of what it is the ground truth of")
        entry, chosen = find_rule(benchmark, rule)
        truths = read_truths(entry, gt)
        return report_of(entry, truths, score_one(entry, truths, path, chosen))
    source = path / SCORES if path.is_dir() else path
    if not source.is_file():
        raise UsageError(f"{path} holds no {SCORES}: give --benchmark and --gt to score its raw results now")
    try:
        data = json.loads(storage.read_bytes(str(source)))
        return ScoreReport(**{key: data[key] for key in ScoreReport.__dataclass_fields__})
    except (ValueError, KeyError, TypeError) as error:
        raise SSTrackError(
            f"{source} holds no scores of ours ({error!r}): make them with sstrack score --json"
        ) from error


def _ranked(members: Mapping[str, ScoreReport]) -> dict[str, ScoreReport]:
    return dict(sorted(members.items(), key=lambda row: -row[1].metrics[row[1].headline]))


def _best(kind: str, report: ScoreReport) -> str:
    names = {"success": ("AUC", "success", "AO"), "precision": ("P20", "precision"), "norm_precision": ("NP20",)}
    found = [name for name in (*names.get(kind, ()), report.headline) if name in report.metrics]
    return _number(report.metrics[found[0]])


def _section(name: str, rule: str, members: Mapping[str, ScoreReport], figures: list[str]) -> str:
    ranked = _ranked(members)
    columns = list(dict.fromkeys(metric for report in ranked.values() for metric in report.metrics))
    rows = [[label, *(_with_interval(report, column) for column in columns)] for label, report in ranked.items()]
    parts = [f"<h2>{html.escape(name)}, rule {html.escape(rule)}</h2>", _table(["tracker", *columns], rows)]
    if any(report.intervals for report in ranked.values()):
        parts.append('<p class="note">In brackets: 95 % bootstrap intervals over sequences.</p>')
    parts.extend(figures)
    parts.append(_attributes(ranked))
    for label, report in ranked.items():
        if report.counted:
            counted = "; ".join(f"{what}: {count}" for what, count in report.counted.items())
            parts.append(f'<p class="note">{html.escape(label)}: {html.escape(counted)}.</p>')
    parts.append(_sequences(ranked))
    return "".join(parts)


def _attributes(ranked: Mapping[str, ScoreReport]) -> str:
    names = sorted({name for report in ranked.values() for name in report.attributes})
    if not names:
        return ""
    rows = []
    for name in names:
        cells = [report.attributes.get(name, {}) for report in ranked.values()]
        count = max(int(cell.get("sequences", 0)) for cell in cells)
        rows.append([name, str(count), *(_number(cell["value"]) if cell else "" for cell in cells)])
    headline = next(iter(ranked.values())).headline
    return f"<h3>{html.escape(headline)} by attribute</h3>" + _table(["attribute", "sequences", *ranked], rows)


def _sequences(ranked: Mapping[str, ScoreReport]) -> str:
    first = next(iter(ranked.values()))
    columns = list(next(iter(first.per_sequence.values()), {}))
    wanted = first.headline if first.headline in columns else (columns[0] if columns else "")
    names = sorted(first.per_sequence, key=lambda name: first.per_sequence[name].get(wanted, 0.0))
    rows = [
        [name, *(_number(r.per_sequence[name][wanted]) if name in r.per_sequence else "" for r in ranked.values())]
        for name in names
    ]
    table = _table(["sequence", *ranked], rows)
    return f"<details><summary>{html.escape(wanted)} by sequence, worst first</summary>{table}</details>"


def _with_interval(report: ScoreReport, column: str) -> str:
    if column not in report.metrics:
        return ""
    text = _number(report.metrics[column])
    if column in report.intervals:
        low, high = report.intervals[column]
        text += f" [{_number(low)}, {_number(high)}]"
    return text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[Any], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) > 1 else f"{value:.4f}"
