"""What the demo ends with: figures, a table of them, and the lines to type next."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from pipelines.demo_inputs import REAL


@dataclass(frozen=True)
class DemoSummary:
    """What the demo ends with; AO in percent, by held-out sequence."""

    seconds_of_video: float
    clips: int
    rejects: dict[str, int]
    steps: int
    loss_start: float
    loss_end: float
    tuned: Mapping[str, float]
    """The model after its training."""
    start: Mapping[str, float]
    """The model that the training started from."""
    static: Mapping[str, float]
    """The box that never moves."""
    champion: str | None
    promoted: bool
    """Whether the champion is the fine-tuned model."""
    outcome: str
    reasons: tuple[str, ...]
    found: bool
    """True when training and evaluation had been done before."""
    seconds: float
    eval_root: Path
    picture: Path
    """Held-out sequences and clips with the truth in white, the fine-tuned model's boxes in green, the start's in
    orange."""
    report: Path
    """The HTML page on the fine-tuned model beside its start."""
    work: Path


def demo_table(summary: DemoSummary) -> Table:
    """What the demo made."""
    dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(summary.rejects.items())) or "none"
    table = Table(show_header=False, title="SSTrack demo", title_justify="left")
    table.add_row("video", f"{summary.seconds_of_video:.0f} s")
    table.add_row("clips", f"{summary.clips} kept; dropped: {dropped}")
    table.add_row("training", f"{summary.steps} steps, loss {summary.loss_start:.2f} → {summary.loss_end:.2f}")
    table.add_row("AO fine-tuned", _ao(summary.tuned))
    table.add_row("AO model that ships", _ao(summary.start))
    table.add_row("AO box that never moves", _ao(summary.static))
    table.add_row("champion", _champion(summary))
    table.add_row("gate", "\n".join((summary.outcome, *summary.reasons)))
    table.add_row("picture", str(summary.picture))
    table.add_row("report", str(summary.report))
    table.add_row("took", f"{summary.seconds:.0f} s{', found done' if summary.found else ''}")
    return table


def _ao(scores: Mapping[str, float]) -> str:
    """Over all held-out sequences, and over those that were rendered and filmed."""
    filmed = [value for name, value in scores.items() if name.startswith(REAL)]
    rendered = [value for name, value in scores.items() if not name.startswith(REAL)]
    each = f"rendered {sum(rendered) / len(rendered):.1f}, filmed {sum(filmed) / len(filmed):.1f}"
    return f"{sum(scores.values()) / len(scores):.1f} % ({each})"


def _champion(summary: DemoSummary) -> str:
    if summary.champion is None:
        return "none"
    if summary.promoted:
        return f"version {summary.champion}, fine-tuned on this video"
    return f"version {summary.champion} as before: the fine-tuned model is not surely better"


def next_lines(summary: DemoSummary) -> list[str]:
    """Commands that go on from here, with absolute paths."""
    sstrack = f"SSTRACK_WORK={summary.work} {Path(sys.executable).with_name('sstrack')}"
    lines = [f"{sstrack} up", f"{sstrack} models list", f"{sstrack} dataset sheet {summary.work / 'dataset'}"]
    if summary.champion is not None:
        sequence = sorted(path.parent for path in summary.eval_root.glob("*/groundtruth.txt"))[0]
        frames = sequence / "img" if (sequence / "img").is_dir() else sequence
        box = ",".join((sequence / "groundtruth.txt").read_text().splitlines()[0].replace(",", " ").split())
        lines.append(f"{sstrack} track {frames} --box {box} --render tracked.mp4")
    return lines
