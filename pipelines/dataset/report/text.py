"""The funnel as text: Markdown for a flow's artifact, and counters for Prometheus' textfile collector."""

import base64
from pathlib import Path

from pipelines.dataset.report.funnel import Funnel, Histogram
from pipelines.pages import markdown_page

_TEMPLATE = Path(__file__).with_name("templates") / "report.md.jinja"
_HEIGHTS = " ▁▂▃▄▅▆▇█"


def markdown(funnel: Funnel, sheet: bytes = b"") -> str:
    """The funnel in Markdown, with the JPEG `sheet` inside it where there is one.

    Names of files are shown as code and cannot break out of it; other text begins nothing.
    """
    return markdown_page(
        _TEMPLATE,
        funnel=funnel,
        share=funnel.kept_seconds / funnel.seconds if funnel.seconds else 0.0,
        heights=_heights,
        sheet=base64.b64encode(sheet).decode("ascii"),
    )


def story(funnel: Funnel) -> dict[str, str | dict[str, str]]:
    """What a person wants to know of a dataset, in the order of the work; labels and sentences."""
    totals = funnel.totals
    share = funnel.kept_seconds / funnel.seconds if funnel.seconds else 0.0
    lost = {
        f"{loss.reason} ({loss.stage})": f"{loss.count} dropped, {loss.seconds:.1f} s"
        for loss in sorted(funnel.losses, key=lambda loss: -loss.seconds)
    }
    treated = {word: f"{count} sources" for word, count in funnel.treated.items()}
    return {
        "video": f"{funnel.seconds:.1f} s from {totals['sources']} sources, {funnel.usable_sources} of them with clips",
        "clips": f"{funnel.clips} kept of {funnel.judged} judged",
        "kept": f"{funnel.kept_seconds:.1f} s, {share:.0%} of the video; {totals['frames']} frames",
        "seed boxes": f"on {funnel.seeded} of {funnel.clips} clips",
        "lost": lost or "nothing",
        **({"pictures": treated} if treated else {}),
        "size": f"{totals['bytes'] / 2**20:.1f} MiB, shards: {totals['shards']}",
    }


def _heights(histogram: Histogram) -> str:
    """A character a bin, as tall as the bin is full; a bin that holds anything shows."""
    tallest, top = max(histogram.counts) or 1, len(_HEIGHTS) - 1
    return "".join(_HEIGHTS[-(-count * top // tallest)] for count in histogram.counts)


def prometheus_text(funnel: Funnel) -> str:
    """Gauges in the text exposition format, version 0.0.4."""
    gauges = {
        "sources": (funnel.totals["sources"], "Videos and sequences seen"),
        "clips": (funnel.clips, "Clips in the dataset"),
        "clips_judged": (funnel.judged, "Clips judged, kept or not"),
        "clips_with_seed": (funnel.seeded, "Clips with a seed box"),
        "seconds_in": (funnel.seconds, "Seconds of video seen"),
        "seconds_kept": (funnel.kept_seconds, "Seconds of video in clips"),
        "bytes": (funnel.totals["bytes"], "Bytes of shards"),
    }
    label = f'dataset="{_label(funnel.dataset)}"'
    lines: list[str] = []
    for name, (value, text) in gauges.items():
        lines += [f"# HELP sstrack_dataset_{name} {text}.", f"# TYPE sstrack_dataset_{name} gauge"]
        lines.append(f"sstrack_dataset_{name}{{{label}}} {value}")
    for name, text in (("dropped", "Videos and clips dropped"), ("dropped_seconds", "Seconds of video dropped")):
        lines += [f"# HELP sstrack_dataset_{name} {text}.", f"# TYPE sstrack_dataset_{name} gauge"]
        for loss in funnel.losses:
            value = loss.count if name == "dropped" else loss.seconds
            lines.append(
                f'sstrack_dataset_{name}{{{label},stage="{_label(loss.stage)}",reason="{_label(loss.reason)}"}} {value}'
            )
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
