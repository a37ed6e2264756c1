"""The funnel as one HTML file that needs no network: numbers, bars, histograms and pictures, readable on a phone."""

import base64
from html import escape
from pathlib import Path

from pipelines import storage
from pipelines.dataset.report.contact_sheet import draw_sheet
from pipelines.dataset.report.funnel import Funnel, Histogram

_STYLE = """
:root{color-scheme:light dark;--bar:#3b82c4;--lost:#c46a3b}
body{font:16px/1.45 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem}
h1{font-size:1.3rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}
table{border-collapse:collapse;width:100%}td,th{padding:.2rem .5rem;text-align:left;border-bottom:1px solid #8884}
td.n{text-align:right;font-variant-numeric:tabular-nums}td.w{overflow-wrap:anywhere}
.scroll{overflow-x:auto}.bar{background:var(--bar);height:.9rem;min-width:1px}.lost{background:var(--lost)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem}
svg{width:100%;height:auto}rect{fill:var(--bar)}text{fill:currentColor;font-size:9px}img{max-width:100%}
"""
_PICTURES = 24


def write_report(funnel: Funnel, out: Path) -> None:
    """Write the report of a funnel to `out`, with a contact sheet of its dataset's clips."""
    storage.write_atomic(str(out), html(funnel, draw_sheet(funnel.dataset, _PICTURES)[0]).encode())


def html(funnel: Funnel, sheet: bytes) -> str:
    """The report; `sheet` is a PNG. All text that comes from file names is escaped, and there is no script."""
    title = escape(funnel.dataset)
    steps = (
        ("sources", funnel.totals["sources"]),
        ("sources with clips", funnel.usable_sources),
        ("clips judged", funnel.judged),
        ("clips kept", funnel.clips),
        ("with a seed box", funnel.seeded),
    )
    seconds = [("kept", funnel.kept_seconds, "")]
    seconds += [(f"{loss.reason} ({loss.stage}, {loss.count})", loss.seconds, "lost") for loss in funnel.losses]
    picture = base64.b64encode(sheet).decode("ascii")
    histograms = "".join(
        f"<figure>{_svg(histogram)}<figcaption>{escape(name)}</figcaption></figure>"
        for name, histogram in funnel.histograms.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>Manifest <code>{escape(funnel.totals['manifest'][:16])}</code>: {funnel.kept_seconds:.1f} of "
        f"{funnel.seconds:.1f} s kept in {funnel.totals['shards']} shards, "
        f"{funnel.totals['bytes'] / 2**20:.1f} MiB.</p>"
        f"<h2>From video to clips</h2>{_bars([(name, float(value), '') for name, value in steps], 0)}"
        f"<h2>Seconds of video</h2>{_bars(seconds, 1)}"
        f"<h2>Scores of kept clips</h2><div class=grid>{histograms}</div>"
        f"<h2>Most lost from</h2>{_offenders(funnel)}"
        f"<h2>Clips and their seed boxes</h2><img alt='First frames of clips' src='data:image/png;base64,{picture}'>"
        "</body></html>\n"
    )


def _bars(rows: list[tuple[str, float, str]], digits: int) -> str:
    largest = max([value for _, value, _ in rows] + [1e-9])
    cells = "".join(
        f"<tr><td class=w>{escape(name)}</td><td class=n>{value:.{digits}f}</td>"
        f'<td style="width:45%"><div class="bar {kind}" style="width:{100 * value / largest:.1f}%"></div></td></tr>'
        for name, value, kind in rows
    )
    return f"<table>{cells}</table>"


def _svg(histogram: Histogram) -> str:
    tallest = max(histogram.counts) or 1
    width = 240 / len(histogram.counts)
    bars = "".join(
        f'<rect x="{number * width:.1f}" y="{80 - 80 * count / tallest:.1f}" width="{width - 1:.1f}" '
        f'height="{80 * count / tallest:.1f}"/>'
        for number, count in enumerate(histogram.counts)
    )
    missing = f", {histogram.missing} without" if histogram.missing else ""
    return (
        f'<svg viewBox="0 0 240 94" role="img">{bars}<text x="0" y="92">{histogram.low:.3g}</text>'
        f'<text x="240" y="92" text-anchor="end">{histogram.high:.3g}, tallest {tallest}{missing}</text></svg>'
    )


def _offenders(funnel: Funnel) -> str:
    rows = "".join(
        f"<tr><td class=w>{escape(worst.uri)}</td><td class=n>{worst.lost:.1f}</td><td class=n>{worst.seconds:.1f}</td>"
        f"<td>{escape(', '.join(worst.reasons))}</td></tr>"
        for worst in funnel.offenders
    )
    return f"<div class=scroll><table><tr><th>source<th>lost s<th>of s<th>because</tr>{rows}</table></div>"
