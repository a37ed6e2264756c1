"""Write a report on trackers: `report.html`, one SVG and PNG a figure, a JPEG of the worst sequences, two CSV files."""

import csv
import io
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from pipelines import storage
from pipelines.errors import UsageError
from pipelines.evaluation.report.figures import SERIES, Drawing
from pipelines.evaluation.report.section import Row, Section, section_of
from pipelines.evaluation.report.trackers import Given, Measured, load_trackers
from pipelines.evaluation.report.worst import draw_worst
from pipelines.evaluation.score import SCORES
from pipelines.registry.tracker_names import champion_digest, champion_name

log = logging.getLogger(__name__)

PAGE = "report.html"
_DARK = ("#56b4e9", "#f0883e", "#2fc79a", "#e08fc0", "#e6b800", "#9ad1f5", "#b4b8c2")


@dataclass(frozen=True)
class Written:
    """What `write_report` left."""

    page: Path
    files: tuple[Path, ...]
    """Everything beside the page."""


def write_report(
    results: Sequence[str], out: Path, given: Given | None = None, *, against: str | None = None, pictures: bool = True
) -> Written:
    """Write the report into `out`, each file whole or not at all.

    Args:
        results: per tracker a folder of raw results, or the scores that `sstrack evaluate` or `sstrack score --json`
            left; `NAME=PATH` names the tracker. The first is the one that is looked at.
        out: folder, made if needed.
        given: what raw results without scores are scored against.
        against: the tracker that the first is compared with sequence by sequence: another of those named. By default
            the champion if it is among them, else the second.
        pictures: draw frames of the worst and the most changed sequences, where the frames are still there.

    Raises:
        UsageError: results without scores and nothing to make them with; an unknown `against`.
        SSTrackError: results that cannot be scored, scores that cannot be read.
    """
    trackers = load_trackers(results, given or Given())
    labels = list(dict.fromkeys(tracker.label for tracker in trackers))
    rival = _rival(labels, against)
    colours = {label: index for index, label in enumerate(labels)}
    groups: dict[tuple[str, str, str], list[Measured]] = {}
    for tracker in trackers:
        scores = tracker.scores
        groups.setdefault((scores.benchmark, scores.rule, scores.annotation), []).append(tracker)
    alike = Counter(key[:2] for key in groups)
    states = {key: (key[2][:8] or "unknown") if alike[key[:2]] > 1 else "" for key in groups}
    sections = [section_of(members, colours, rival, pictures, states[key]) for key, members in groups.items()]
    written: list[Path] = []
    for section in sections:
        for drawing in section.drawings:
            written += _figure_files(out, section, drawing)
        worst, place = draw_worst(section), out / f"{_stem(section)}-worst.jpg"
        if worst is None:
            place.unlink(missing_ok=True)  # of an earlier report in this folder
        else:
            storage.write_atomic(str(place), worst)
            written.append(place)
    for name, text in (("summary.csv", _summary(sections)), ("sequences.csv", _sequences(sections))):
        storage.write_atomic(str(out / name), text.encode())
        written.append(out / name)
    storage.write_atomic(str(out / PAGE), _page(sections, labels, rival).encode())
    return Written(out / PAGE, tuple(written))


def write_page_of(trackers: Mapping[str, Sequence[str]], out: Path) -> Path | None:
    """The report on results of trackers by name (empty: as they were called), under a folder of its own in `out`; None
    where there are none on this machine.

    The folder is named after the first tracker's results, so that another evaluation has another one. The champion's
    results on the same content are taken in where they are there.
    """
    local = [(name, place) for name, places in trackers.items() for place in places if storage.is_local(place)]
    if not local:
        log.warning("no report was written: a report reads results on this machine, and these are in a bucket")
        return None
    first = Path(local[0][1])
    known = {place for _, place in local}
    local += [("", place) for place in map(_of_champion, sorted(known)) if place is not None and place not in known]
    folder = out / f"evaluation-{first.parents[2].name}-{first.name[:8]}"
    return write_report([f"{name}={place}" if name else place for name, place in local], folder).page


def _of_champion(results: str) -> str | None:
    """The champion's folder of results on the same benchmark and content as a tracker's; None where it has none."""
    place, digest = Path(results), champion_digest()
    if digest is None or len(place.parents) < 4:
        return None
    found = place.parents[3] / digest / place.relative_to(place.parents[2])
    return str(found) if (found / SCORES).is_file() else None


def _rival(labels: Sequence[str], against: str | None) -> str | None:
    if against is not None:
        if against not in labels:
            raise UsageError(f"--against {against}: no such tracker among {', '.join(labels)}")
        if against == labels[0]:
            raise UsageError(
                f"--against {against} is the tracker that is looked at: name another, or another one first"
            )
        return against
    champion = champion_name()
    return champion if champion in labels[1:] else labels[1] if len(labels) > 1 else None


def _page(sections: Sequence[Section], labels: Sequence[str], rival: str | None) -> str:
    place = files("pipelines.evaluation.report") / "templates"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((place / "report.html.j2").read_text())
    style = (place / "report.css").read_text()
    return template.render(sections=sections, labels=labels, rival=rival, style=style, light=SERIES, dark=_DARK)


def _figure_files(out: Path, section: Section, drawing: Drawing) -> list[Path]:
    stem = f"{_stem(section)}-{drawing.name}"
    for form, data in (("svg", drawing.svg), ("png", drawing.png)):
        storage.write_atomic(str(out / f"{stem}.{form}"), data)
    return [out / f"{stem}.svg", out / f"{stem}.png"]


def _stem(section: Section) -> str:
    return "-".join(filter(None, (section.benchmark, section.rule, section.state)))


def card_pictures(page: Path) -> list[Path]:
    """Of the files beside a report those that a model card shows: success plots and worst sequences."""
    return [*sorted(page.parent.glob("*-success.png")), *sorted(page.parent.glob("*-worst.jpg"))]


def _summary(sections: Sequence[Section]) -> str:
    head = ("benchmark", "rule", "tracker", "kind", "metric", "value", "low", "high", "sequences", "source")
    rows: list[tuple[object, ...]] = []
    for section in sections:
        for row in section.rows:
            rows += [(section.benchmark, section.rule, *line) for line in _lines(row)]
    return _csv(head, rows)


def _lines(row: Row) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for metric, value in row.metrics.items():
        low, high = row.intervals.get(metric, ("", ""))
        found.append((row.label, row.kind, metric, value, low, high, row.sequences or "", row.source))
    return found


def _sequences(sections: Sequence[Section]) -> str:
    rows: list[tuple[object, ...]] = []
    for section in sections:
        for tracker in section.trackers:
            for sequence, numbers in tracker.scores.per_sequence.items():
                rows += [
                    (section.benchmark, section.rule, tracker.label, sequence, metric, value)
                    for metric, value in numbers.items()
                ]
    return _csv(("benchmark", "rule", "tracker", "sequence", "metric", "value"), rows)


def _csv(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
