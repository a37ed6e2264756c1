"""One part of a report: the trackers that were measured on one benchmark under one rule, ready to be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.evaluation.numbers import HIGHER_IS_WORSE, interval, shown
from pipelines.evaluation.report import figures, frames
from pipelines.evaluation.report.figures import TITLES, Drawing, Line, Speed
from pipelines.evaluation.report.frames import Tile
from pipelines.evaluation.report.published import published_on
from pipelines.evaluation.report.trackers import Measured, headline_values, value_name
from pipelines.registry.tracker_names import former_champions
from sstrack.benchmarks.registry import benchmark

SHOWN = 10
"""Sequences with pictures, of the worst and of the most changed each."""
_RADAR = 3
"""Attributes from which a radar says more than bars alone."""


@dataclass(frozen=True)
class Cell:
    """A number in the table, with its interval in words and whether it is the best of its column."""

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A tracker in the table."""

    label: str
    kind: str
    """`measured`, `former champion` or `published`."""
    colour: int | None
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    sequences: int | None
    source: str
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True)
class Strip:
    """Overlap over time of one tracker on one sequence."""

    colour: int
    label: str
    value: str
    uri: str
    """Empty where nothing is known of single frames."""
    lost: str
    """Where it lost its target, in words."""


@dataclass(frozen=True)
class Shown:
    """One sequence with its strips, and with pictures where they were asked for."""

    name: str
    value: float
    strips: tuple[Strip, ...]
    change: str = ""
    tiles: tuple[Tile, ...] = ()


@dataclass(frozen=True)
class Section:
    """Everything that is shown of one benchmark and rule."""

    benchmark: str
    describe: str
    rule: str
    state: str
    """Which annotation, where a report has several of one benchmark and rule; else empty."""
    rule_text: str
    headline: str
    availability: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    trackers: tuple[Measured, ...]
    drawings: tuple[Drawing, ...]
    value_name: str
    attributes: tuple[tuple[str, int, tuple[str, ...]], ...]
    """Name, sequences that carry it, and the headline of each tracker there."""
    worst: tuple[Shown, ...]
    changed: tuple[Shown, ...]
    sequences: tuple[Shown, ...]
    notes: tuple[str, ...]


def section_of(
    trackers: Sequence[Measured], colours: Mapping[str, int], rival: str | None, pictures: bool, state: str = ""
) -> Section:
    """The section on `trackers`, all of one benchmark, rule and annotation; the first is the one that is looked at.

    Args:
        trackers: what was measured.
        colours: index of each label's colour, the same in the whole report.
        rival: label of the tracker that the first one is compared with.
        pictures: draw frames.
        state: see `Section.state`.
    """
    first = trackers[0]
    name, rule, headline = first.scores.benchmark, first.scores.rule, first.scores.headline
    entry = benchmark(name)
    other = next((tracker for tracker in trackers[1:] if tracker.label == rival), None)
    ranked = sorted(trackers, key=lambda tracker: -tracker.scores.metrics.get(headline, -np.inf))
    rows = _rows(ranked, colours, name, rule, first.scores.annotation)
    columns = tuple(dict.fromkeys([headline, *(metric for row in rows for metric in row.metrics)]))
    attributes = sorted({label for tracker in trackers for label in tracker.scores.attributes})
    values = headline_values(first)
    order = sorted(values, key=lambda sequence: (_worse(first) * values[sequence], sequence))
    looked = [first, *([other] if other else []), *(t for t in trackers[1:] if t is not other)]
    lacking = max(entry.expected - first.scores.sequences, 0)
    return Section(
        benchmark=name,
        describe=entry.describe,
        rule=rule,
        state=state,
        rule_text=" ".join(entry.rule(rule).describe.split()),
        headline=headline,
        availability=f"{first.scores.sequences} of the {entry.expected} sequences were here" if lacking else "",
        columns=columns,
        rows=tuple(_with_cells(rows, columns)),
        trackers=tuple(trackers),
        drawings=tuple(_drawings(ranked, colours, headline, attributes)),
        value_name=value_name(first),
        attributes=tuple(_attribute(label, ranked, headline) for label in attributes),
        worst=tuple(_shown(each, looked, colours, pictures) for each in order[:SHOWN]),
        changed=tuple(_changed(looked, colours, pictures) if other else ()),
        sequences=tuple(_shown(each, looked, colours, False) for each in order),
        notes=tuple(_notes(trackers)),
    )


def _worse(tracker: Measured) -> int:
    """1 where a low number is a bad one."""
    return -1 if value_name(tracker) in HIGHER_IS_WORSE else 1


def _rows(ranked: Sequence[Measured], colours: Mapping[str, int], name: str, rule: str, annotation: str) -> list[Row]:
    rows: list[Row] = []
    for tracker in ranked:
        scores = tracker.scores
        metrics = {key: value for key, value in scores.metrics.items() if key != "fps"}
        if np.isfinite(tracker.fps):
            metrics["fps"] = tracker.fps
        colour = colours[tracker.label]
        rows.append(Row(tracker.label, "measured", colour, metrics, scores.intervals, scores.sequences, ""))
    here = {row.label for row in rows}
    for former in former_champions(f"{name}@{benchmark(name).version}", rule, annotation):
        if former.label not in here:
            source = f"champion since {former.when}, from the registry"
            rows.append(Row(former.label, "former champion", None, former.metrics, {}, None, source))
    for place in (name, f"{name}_test"):  # where only a server has the truth, the set beside it is the nearest
        for known in published_on(place):
            words = "self-supervised" if known.labels == "none" else "trained with labels"
            words += "" if place == name else f", on {place}"
            rows.append(Row(known.name, "published", None, known.metrics, {}, None, f"{words}; {known.source}"))
    return rows


def _with_cells(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    best: dict[str, float] = {}
    for column in columns:
        values = [row.metrics[column] for row in rows if row.kind == "measured" and column in row.metrics]
        finite = [value for value in values if np.isfinite(value)]
        if len(finite) > 1:
            best[column] = min(finite) if column in HIGHER_IS_WORSE else max(finite)
    made: list[Row] = []
    for row in rows:
        cells: list[Cell] = []
        for column in columns:
            if column not in row.metrics:
                cells.append(Cell(""))
                continue
            value = row.metrics[column]
            words = interval(column, *row.intervals[column]) if column in row.intervals else ""
            leads = row.kind == "measured" and best.get(column) == value
            cells.append(Cell(shown(column, value), words, leads))
        made.append(
            Row(row.label, row.kind, row.colour, row.metrics, row.intervals, row.sequences, row.source, tuple(cells))
        )
    return made


def _drawings(
    ranked: Sequence[Measured], colours: Mapping[str, int], headline: str, attributes: Sequence[str]
) -> list[Drawing]:
    drawings: list[Drawing] = []
    for kind in TITLES:
        lines = [
            _line(tracker, kind, colours[tracker.label], headline)
            for tracker in ranked
            if kind in tracker.scores.curves
        ]
        if lines:
            drawings.append(figures.draw_curves(kind, lines))
    indices = [colours[tracker.label] for tracker in ranked]
    if attributes:
        values = {tracker.label: [_carried(tracker, name) for name in attributes] for tracker in ranked}
        drawings.append(figures.draw_bars(attributes, values, indices, headline))
        if len(attributes) >= _RADAR:
            drawings.append(figures.draw_radar(attributes, values, indices, headline))
    points: list[Speed] = []
    for tracker in ranked:
        value = tracker.scores.metrics[headline]
        low, high = tracker.scores.intervals.get(headline, (value, value))
        if np.isfinite(tracker.fps) and tracker.fps > 0 and np.isfinite(value):
            points.append(Speed(tracker.label, colours[tracker.label], tracker.fps, value, low, high))
    if points:
        drawings.append(figures.draw_speed(points, headline))
    return drawings


def _line(tracker: Measured, kind: str, colour: int, headline: str) -> Line:
    curve = tracker.scores.curves[kind]
    names = {"success": ("AUC", "success", "AO"), "precision": ("P20", "precision"), "norm_precision": ("NP20",)}
    metric = next((n for n in (*names.get(kind, ()), headline) if n in tracker.scores.metrics), headline)
    label = f"{tracker.label}: {metric} {shown(metric, tracker.scores.metrics[metric])}"
    return Line(label, colour, curve["x"], curve["y"], curve.get("low", ()), curve.get("high", ()))


def _carried(tracker: Measured, attribute: str) -> float:
    return tracker.scores.attributes.get(attribute, {}).get("value", float("nan"))


def _attribute(name: str, ranked: Sequence[Measured], headline: str) -> tuple[str, int, tuple[str, ...]]:
    counts = [int(tracker.scores.attributes.get(name, {}).get("sequences", 0)) for tracker in ranked]
    return name, max(counts), tuple(shown(headline, _carried(tracker, name)) for tracker in ranked)


def _shown(
    name: str, looked: Sequence[Measured], colours: Mapping[str, int], pictures: bool, change: str = ""
) -> Shown:
    strips = [_strip(name, tracker, colours[tracker.label]) for tracker in looked]
    drawn = frames.tiles(name, [(colours[tracker.label], tracker) for tracker in looked[:3]]) if pictures else []
    return Shown(name, headline_values(looked[0])[name], tuple(s for s in strips if s), change, tuple(drawn))


def _strip(name: str, tracker: Measured, colour: int) -> Strip | None:
    values = headline_values(tracker)
    if name not in values:
        return None
    overlap = frames.overlap_of(tracker, name)
    words = "" if overlap is None else frames.in_words(tracker, name, overlap)
    uri = "" if overlap is None else frames.strip(overlap)
    return Strip(colour, tracker.label, shown(value_name(tracker), values[name]), uri, words)


def _changed(looked: Sequence[Measured], colours: Mapping[str, int], pictures: bool) -> list[Shown]:
    """Sequences that the first two differ on most."""
    ours, theirs = headline_values(looked[0]), headline_values(looked[1])
    metric = value_name(looked[0])
    both = [name for name in ours if name in theirs and ours[name] != theirs[name]]
    order = sorted(both, key=lambda name: (-abs(ours[name] - theirs[name]), name))
    made: list[Shown] = []
    for name in order[:SHOWN]:
        step = ours[name] - theirs[name]
        words = f"{'+' if step > 0 else '−'}{shown(metric, abs(step))} against {looked[1].label}"
        made.append(_shown(name, looked, colours, pictures, words))
    return made


def _notes(trackers: Sequence[Measured]) -> list[str]:
    seen: dict[str, set[str]] = {}
    for tracker in trackers:
        for name, digest in tracker.frames.items():
            seen.setdefault(name, set()).add(digest)
    other = sorted(name for name, digests in seen.items() if len(digests) > 1)
    changed = f"{len(other)} sequences had other frames when one of these trackers was measured: {', '.join(other[:5])}"
    return [*([f"{changed}{', …' if len(other) > 5 else ''}."] if other else []), *_counts(trackers)]


def _counts(trackers: Sequence[Measured]) -> list[str]:
    return [
        f"{tracker.label}: {'; '.join(f'{what}: {count}' for what, count in tracker.scores.counted.items())}."
        for tracker in trackers
        if tracker.scores.counted
    ]
