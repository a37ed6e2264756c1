"""What the demo ends with: figures, a table of them, and the lines to type next."""

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True)
class DemoSummary:
    """What the demo ends with; AO in percent."""

    seconds_of_video: float
    clips: int
    rejects: dict[str, int]
    steps: int
    loss_start: float
    loss_end: float
    ao_trained: float
    ao_untrained: float
    ao_static: float
    champion: str | None
    outcome: str
    reasons: tuple[str, ...]
    found: bool
    """True when training and evaluation had been done before."""
    seconds: float
    eval_root: Path
    picture: Path
    """Some held-out sequences with the truth in white and the trained tracker's boxes in green."""
    report: Path
    """The HTML page on the trained tracker beside its untrained start."""
    work: Path


def demo_table(summary: DemoSummary) -> Table:
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
    table.add_row("report", str(summary.report))
    table.add_row("took", f"{summary.seconds:.0f} s{', found done' if summary.found else ''}")
    return table


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
