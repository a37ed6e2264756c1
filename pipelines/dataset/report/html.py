"""The funnel as one HTML file that needs no network: numbers, bars, histograms and pictures, readable on a phone."""

import base64
from pathlib import Path

from pipelines import storage
from pipelines.dataset.report.contact_sheet import draw_sheet
from pipelines.dataset.report.funnel import Funnel
from pipelines.pages import html_page

_TEMPLATE = Path(__file__).with_name("templates") / "report.html.jinja"
_PICTURES = 24


def write_report(funnel: Funnel, out: Path) -> None:
    """Write the report of a funnel to `out`, with a contact sheet of its dataset's clips."""
    storage.write_atomic(str(out), html(funnel, draw_sheet(funnel.dataset, _PICTURES)[0]).encode())


def html(funnel: Funnel, sheet: bytes) -> str:
    """The report; `sheet` is a PNG. All text that comes from file names is escaped, and there is no script."""
    seconds = [("kept", funnel.kept_seconds, "")]
    seconds += [(f"{loss.reason} ({loss.stage}, {loss.count})", loss.seconds, "lost") for loss in funnel.losses]
    return html_page(_TEMPLATE, funnel=funnel, seconds=seconds, sheet=base64.b64encode(sheet).decode("ascii"))
