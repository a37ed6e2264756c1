"""Figures of a report: success, precision and EAO curves of several trackers as SVG, and the same as PNG."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure

Line = tuple[list[float], list[float]]

TITLES = {
    "success": ("Success", "overlap threshold", "frames above, %"),
    "precision": ("Precision", "centre error, pixels", "frames within, %"),
    "norm_precision": ("Normalised precision", "centre error, sides of the box", "frames within, %"),
    "eao": ("Expected average overlap", "frames", "overlap"),
}


@dataclass(frozen=True)
class Plot:
    """One figure in both forms."""

    svg: bytes
    png: bytes


def draw(kind: str, lines: Mapping[str, Line], shade: tuple[float, float] | None = None) -> Plot:
    """One line per tracker, best last value of the legend text first as given.

    Args:
        kind: a key of `TITLES`.
        lines: legend text to x and y; text is shown as it is, never read as mathematics.
        shade: an interval of x to mark, EAO's.
    """
    title, across, up = TITLES[kind]
    with matplotlib.rc_context({"svg.hashsalt": "sstrack", "text.parse_math": False}):
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for label, (x, y) in lines.items():
            axes.plot(x, y, label=label, linewidth=1.8)
        if shade is not None:
            axes.axvspan(*shade, color="0.92", zorder=0)
        axes.set(title=title, xlabel=across, ylabel=up)
        axes.set_ylim(0, 105 if kind != "eao" else 1)
        axes.margins(x=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        return Plot(_bytes(figure, "svg"), _bytes(figure, "png"))


def _bytes(figure: Figure, form: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=120, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()
