"""TrackingNet's devkit rule, which its server runs."""

from collections.abc import Sequence

import numpy as np

from sstrack.benchmarks.bootstrap import mean_parts_of
from sstrack.benchmarks.metrics.curves import overlaps
from sstrack.benchmarks.scores import Boxes, Counted, Curve, Results, Rule, Scores
from sstrack.benchmarks.sequence import Truth

OVERLAPS = np.linspace(0, 1, 21)
PIXELS = np.linspace(0, 50, 21)
SIDES = np.linspace(0, 0.5, 21)


def score_trackingnet(truths: Sequence[Truth], results: Results, counted: Counted) -> Scores:
    """The devkit's figures.

    Invalid truth: none, all frames count. Predictions: both sides are rounded to whole numbers (halves to even); a NaN
    row fails every test. Lengths: rows missing at the end are NaN, further rows are cut; a clip without a file is all
    zeros and stays in the mean. First frame: replaced by the truth and counted. Overlap passes at `>=`, so a perfect
    tracker has 100; precision and normalised precision are areas under 21 points of 0 to 50 px and 0 to 0.5, not the
    values at 20 px and 0.2. Coverage is the share of rows with x + y + w + h > 0, over all frames; it masks nothing.
    """
    lines: list[np.ndarray] = []
    rows: dict[str, dict[str, float]] = {}
    for truth in truths:
        runs = results.boxes.get(truth.name) or [np.zeros((len(truth), 4))]
        mine = np.mean([_score_run(run, truth, counted) for run in runs], axis=0)
        lines.append(mine)
        rows[truth.name] = _numbers(mine)
    mean = np.mean(lines, axis=0)
    mean[3] = np.average([line[3] for line in lines], axis=0, weights=[len(truth) for truth in truths])
    curves = {
        name: Curve(x, 100 * mean[i], 100 * np.array(lines)[:, i])
        for i, (name, x) in enumerate((("success", OVERLAPS), ("precision", PIXELS), ("norm_precision", SIDES)))
    }
    parts = {name: part for name, part in mean_parts_of(rows).items() if name != "coverage"}
    return Scores("official", "success", _numbers(mean), rows, curves, +counted, parts)


def _score_run(run: Boxes, truth: Truth, counted: Counted) -> np.ndarray:
    """[4, 21] shares: success, precision, normalised precision, and coverage repeated."""
    frames = len(truth)
    if len(run) != frames:
        counted["results longer than the truth, cut" if len(run) > frames else "results shorter, rest missed"] += 1
    predicted = np.full((frames, 4), np.nan)
    predicted[: min(frames, len(run))] = np.round(run[:frames])
    gt = np.round(truth.boxes)
    predicted[0] = gt[0]
    broken = ~np.isfinite(predicted).all(axis=1)
    if broken.any():
        counted["rows without a box, counted as missed"] += int(broken.sum())
        predicted[broken] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        overlap = overlaps(predicted, gt)
        offset = predicted[:, :2] + predicted[:, 2:] / 2 - gt[:, :2] - gt[:, 2:] / 2
        error, norm = np.hypot(*offset.T), np.hypot(*(offset / gt[:, 2:]).T)
        tests = (overlap[:, None] >= OVERLAPS, error[:, None] <= PIXELS, norm[:, None] <= SIDES)
        covered = float((predicted.sum(axis=1) > 0).mean())
    return np.stack([*(test.mean(axis=0) for test in tests), np.full(21, covered)])


def _numbers(shares: np.ndarray) -> dict[str, float]:
    steps = np.linspace(0, 1, 21)
    areas = [100 * float(np.trapezoid(line, steps)) for line in shares[:3]]
    names = ("success", "precision", "norm_precision")
    return dict(zip(names, areas, strict=True)) | {"coverage": 100 * float(shares[3, 0])}


TRACKINGNET = Rule(
    "official", score_trackingnet.__doc__ or "", score_trackingnet, "success", ("trackingnet",), missing_is_zero=True
)
