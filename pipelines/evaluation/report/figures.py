"""Figures of a report, drawn once: as PNG and SVG files on white, and as SVG that takes the page's colours.

Trackers are told apart by colour (Okabe and Ito's, which colour-blind people can tell apart), by dashes and by marks.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from pipelines.evaluation.numbers import shown

Floats = NDArray[np.float64]

INK, MUTED, GRID = "#1c1e24", "#5d6270", "#d5d8df"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#b2568a", "#a87400", "#3a8fc4", "#55585f")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
"""One fewer than colours, so that the eighth tracker does not look like the first."""
MARKS = "osD^vPX"
TITLES = {
    "success": ("Success", "overlap threshold", "frames above, %"),
    "precision": ("Precision", "centre error, pixels", "frames within, %"),
    "norm_precision": ("Normalised precision", "centre error, sides of the box", "frames within, %"),
    "eao": ("Expected average overlap", "frames", "overlap"),
}
_WIDE = 4.6
"""Inches; about as wide as a phone, so that text keeps its size there."""


@dataclass(frozen=True)
class Line:
    """One tracker's curve."""

    label: str
    colour: int
    """Index of the tracker."""
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    """95 % of the mean when sequences are drawn anew; empty where not known."""


@dataclass(frozen=True)
class Drawing:
    """One figure in its three forms."""

    name: str
    title: str
    svg: bytes
    png: bytes
    inline: str
    """SVG for the page, in its colours: `var(--ink)`, `var(--c0)` and so on."""


def draw_curves(kind: str, lines: Sequence[Line]) -> Drawing:
    """Curves of kind `success`, `precision`, `norm_precision` or `eao`, bands behind them."""
    title, across, up = TITLES[kind]

    def draw(figure: Figure) -> None:
        axes = _axes(figure, across, up)
        for line in lines:
            colour = SERIES[line.colour % len(SERIES)]
            if line.low:
                axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
            dash = DASHES[line.colour % len(DASHES)]
            axes.plot(line.x, line.y, label=_told(line.label), linewidth=1.8, color=colour, linestyle=dash)
        axes.set_ylim(0, 100 if kind != "eao" else 1)
        axes.margins(x=0)
        _legend(figure, len(lines))

    return _drawing(kind, title, draw, 3.2 + 0.22 * len(lines))


def draw_bars(names: Sequence[str], values: Mapping[str, Sequence[float]], colours: Sequence[int], up: str) -> Drawing:
    """A group of bars per name, one bar per tracker; NaN leaves a gap."""

    def draw(figure: Figure) -> None:
        axes = _axes(figure, up, "")
        height = 0.8 / len(values)
        for at, ((label, row), colour) in enumerate(zip(values.items(), colours, strict=True)):
            places = np.arange(len(names)) + (at - (len(values) - 1) / 2) * height
            axes.barh(places, row, 0.9 * height, label=_told(label), color=SERIES[colour % len(SERIES)])
        axes.set_yticks(range(len(names)), list(names))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        _legend(figure, len(values))

    return _drawing("attributes", "By attribute", draw, 1.2 + 0.22 * len(values) * (1 + len(names) / 2))


def draw_radar(
    names: Sequence[str], values: Mapping[str, Sequence[float]], colours: Sequence[int], metric: str
) -> Drawing:
    """The same around a circle, each spoke scaled to its best tracker."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(projection="polar")
        assert isinstance(axes, PolarAxes)
        best = np.nanmax(np.array(list(values.values()), dtype=np.float64), axis=0)
        angles = 2 * np.pi * np.arange(len(names) + 1) / len(names)
        for (label, row), colour in zip(values.items(), colours, strict=True):
            share = np.divide(row, best, out=np.zeros(len(names)), where=best > 0)
            line = np.append(share, share[0])
            own = SERIES[colour % len(SERIES)]
            axes.plot(
                angles, line, label=_told(label), color=own, linestyle=DASHES[colour % len(DASHES)], linewidth=1.6
            )
            axes.fill(angles, line, color=own, alpha=0.08)
        labels = [f"{name}\n{shown(metric, value)}" for name, value in zip(names, best, strict=True)]
        axes.set_xticks(angles[:-1], labels, fontsize=9, color=INK)
        axes.tick_params(axis="x", pad=11)
        axes.set_yticks([0.25, 0.5, 0.75, 1], [])
        axes.set_ylim(0, 1)
        axes.set_theta_zero_location("N")
        axes.set_theta_direction(-1)
        _coloured(axes)
        axes.spines["polar"].set_visible(False)
        _legend(figure, len(values))

    return _drawing("radar", "Attributes, each against the best", draw, 4.2 + 0.22 * len(values))


@dataclass(frozen=True)
class Speed:
    """One tracker's place between speed and accuracy."""

    label: str
    colour: int
    fps: float
    value: float
    low: float
    high: float


def draw_speed(points: Sequence[Speed], up: str) -> Drawing:
    """Accuracy over frames per second, 95 % intervals as whiskers."""

    def draw(figure: Figure) -> None:
        axes = _axes(figure, "frames per second of one worker, reading included", up)
        for point in points:
            colour = SERIES[point.colour % len(SERIES)]
            whiskers = [[max(point.value - point.low, 0)], [max(point.high - point.value, 0)]]
            axes.errorbar(
                [point.fps], [point.value], yerr=whiskers, fmt=MARKS[point.colour % len(MARKS)], color=colour,
                markersize=8, capsize=3, label=_told(f"{point.label}: {point.fps:.1f} fps"),
            )  # fmt: skip
        axes.set_xscale("log")
        # A decade at least, with plain numbers: one tracker alone would have no scale.
        middle = float(np.exp(np.mean(np.log([point.fps for point in points]))))
        low, high = min(point.fps for point in points), max(point.fps for point in points)
        axes.set_xlim(min(low / 1.5, middle / 3.2), max(high * 1.5, middle * 3.2))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(bottom=0)
        _legend(figure, len(points))

    return _drawing("speed", "Speed and accuracy", draw, 3.2 + 0.22 * len(points))


def _axes(figure: Figure, across: str, up: str) -> Axes:
    axes = figure.add_subplot()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    _coloured(axes)
    return axes


def _coloured(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_color(GRID)
    axes.grid(color=GRID, linewidth=0.7)
    axes.patch.set_alpha(0)
    axes.tick_params(colors=MUTED, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _told(label: str) -> str:
    """A label as the legend shows it: matplotlib leaves out those that begin with an underscore."""
    return f"\N{HAIR SPACE}{label}" if label.startswith("_") else label


def _legend(figure: Figure, rows: int) -> None:
    if rows:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", frameon=False, labelcolor=INK, fontsize=10)


def _drawing(name: str, title: str, draw: Callable[[Figure], None], height: float) -> Drawing:
    settings: Any = {
        "svg.hashsalt": f"sstrack-{name}", "svg.fonttype": "none", "text.parse_math": False, "font.size": 10.5,
        "font.family": "sans-serif", "text.color": INK, "axes.edgecolor": GRID,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(_WIDE, height), layout="constrained")
        draw(figure)
        inline = _bytes(figure, "svg", transparent=True).decode()
        figure.suptitle(title, fontsize=12, color=INK)
        svg, png = _bytes(figure, "svg"), _bytes(figure, "png")
    return Drawing(name, title, svg, png, _themed(inline))


def _themed(svg: str) -> str:
    """Only the `<svg>` element, with the page's variables for our colours, as wide as its place."""
    svg = svg[svg.index("<svg") :]
    for colour, variable in ((INK, "ink"), (MUTED, "muted"), (GRID, "grid")):
        svg = svg.replace(colour, f"var(--{variable})")
    for index, colour in enumerate(SERIES):
        svg = svg.replace(colour, f"var(--c{index})")
    head, end, rest = svg.partition(">")
    kept = [part for part in head.split(" ") if not part.startswith(("width=", "height="))]
    return " ".join(kept) + end + rest


def _bytes(figure: Figure, form: str, *, transparent: bool = False) -> bytes:
    buffer = io.BytesIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type")) if form == "svg" else None
    figure.savefig(buffer, format=form, dpi=160, metadata=metadata, transparent=transparent)
    return buffer.getvalue()
