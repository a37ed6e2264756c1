"""One-pass rules: success (AUC), precision (P20), normalised precision (NP20), as five toolkits compute them.

All use 21 overlap thresholds with strict `>`, so that a perfect tracker reaches 20/21 = 95.24, pixel thresholds 0 to 50
and 0 to 0.5 with `<=`, curves per sequence, and the unweighted mean over sequences. They differ in which frames count.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from sstrack.benchmarks.bootstrap import mean_parts_of
from sstrack.benchmarks.intake import Intake, take
from sstrack.benchmarks.metrics.curves import (
    HIT,
    MISS,
    OVERLAPS,
    PIXELS,
    SIDES,
    FrameScores,
    centre_errors,
    overlaps,
    shares_above,
    shares_within,
)
from sstrack.benchmarks.scores import Boxes, Counted, Curve, Results, Rule, Scores
from sstrack.benchmarks.sequence import Truth

ScoreFrames = Callable[[Boxes, Truth], FrameScores]
"""([T, 4] prediction, truth of T frames) -> frames decided."""


def score_frames_otb(predicted: Boxes, truth: Truth) -> FrameScores:
    """OTB's Matlab toolkit (`official` for OTB100, UAV123, UAV20L).

    Invalid truth: any of x, y, w, h <= 0 or NaN is missed in success and *hit* in precision; all frames count.
    Predictions: NaN is missed, an empty box stays as it is. Longer results are cut, shorter refused (the toolkit stops
    there). First frame: replaced by the truth and counted. The toolkit has no NP; here it follows precision.
    """
    good = _above_zero(truth.boxes)
    overlap, error, norm = _measure(predicted, truth.boxes)
    return _decide(overlap, error, norm, good, error_if_bad=HIT, norm_if_bad=HIT)


def score_frames_lasot(predicted: Boxes, truth: Truth) -> FrameScores:
    """LaSOT's and TNL2K's Matlab toolkit (`official` for LaSOT, LaSOT_ext, TNL2K).

    Invalid truth: frames flagged absent are removed but still divided by, so they are missed everywhere; of the others,
    any of x, y, w, h <= 0 is missed in success and hit in both precisions. Predictions: a row that is NaN or has w or h
    <= 0 becomes the row before. Longer results are cut, shorter refused. First frame: replaced by the truth, counted.
    """
    scored = score_frames_otb(predicted, truth)
    if truth.absent is None:
        return scored
    seen = ~truth.absent
    return FrameScores(
        scored.overlap[seen], scored.error[seen], scored.norm_error[seen], scored.frames, scored.valid[seen]
    )


def score_frames_pytracking(predicted: Boxes, truth: Truth, *, tag: str, sides_only: bool) -> FrameScores:
    """pytracking (`sides_only` False) and the OSTrack family, SSTrack included (True).

    Invalid truth: any of x, y, w, h <= 0 (OSTrack: w or h <= 0), on LaSOT and LaSOT_ext also a frame flagged absent, is
    missed in success, missed in P (*hit* on UAV) and hit in NP; only on LaSOT itself is an absent frame missed in NP.
    Predictions: a row with w or h of 0 becomes the row before; NaN or a negative side is refused. Longer results are
    cut, shorter filled with zeros (LaSOT: refused). First frame: replaced by the truth and counted.
    """
    good = _above_zero(truth.boxes[:, 2:] if sides_only else truth.boxes)
    flagged = truth.absent if tag in ("lasot", "lasot_extension_subset") else None
    if flagged is not None:
        good = good & ~flagged
    overlap, error, norm = _measure(predicted, truth.boxes)
    scored = _decide(overlap, error, norm, good, error_if_bad=HIT if tag == "uav" else MISS, norm_if_bad=HIT)
    if tag == "lasot" and flagged is not None:
        scored.norm_error[flagged] = MISS
        scored.error[flagged] = MISS
    return scored


def score_frames_pysot(predicted: Boxes, truth: Truth) -> FrameScores:
    """pysot-toolkit (2019).

    Invalid truth: any of x, y, w, h <= 0 is missed in success; a centre <= 0 is hit in P and NP. On LaSOT, absent
    frames are removed but still divided by. Predictions: used as they are, NaN is missed; another length is refused.
    First frame: the prediction's own row is scored, so a tracker that writes something else there pays for it.
    """
    overlap, error, norm = _measure(predicted, truth.boxes)
    centre = truth.boxes[:, :2] + (truth.boxes[:, 2:] - 1) / 2
    with np.errstate(invalid="ignore"):
        off = ~(centre > 0).all(axis=1)
        off_norm = off | ~(truth.boxes[:, 2:] > 0).all(axis=1) & ~(centre / (truth.boxes[:, 2:] + 1e-16) > 0).all(
            axis=1
        )
    good = _above_zero(truth.boxes)
    scored = FrameScores(
        np.where(good, overlap, -1.0), np.where(off, HIT, error), np.where(off_norm, HIT, norm), len(truth), good
    )
    if truth.absent is None:
        return scored
    seen = ~truth.absent
    return FrameScores(scored.overlap[seen], scored.error[seen], scored.norm_error[seen], len(truth), good[seen])


def score_frames_got10k(predicted: Boxes, truth: Truth) -> FrameScores:
    """The got10k toolkit's classes for OTB, LaSOT, UAV and TNL2K-like sets.

    Invalid truth: rows with NaN are removed and not divided by; zero boxes and absence flags are scored as they stand.
    Predictions: used as they are, NaN is missed. Both sides are cut to the shorter. First frame: replaced by the truth
    and counted. NP_AUC is the mean over 51 thresholds of 0 to 0.5, which that toolkit calls normalised precision.
    """
    real = ~np.isnan(truth.boxes).any(axis=1)
    overlap = overlaps(predicted[real], truth.boxes[real])
    error, norm = centre_errors(predicted[real], truth.boxes[real], scaled_apart=False)
    return FrameScores(overlap, error, norm, max(int(real.sum()), 1), truth.boxes[real][:, 2:].prod(axis=1) > 0)


def score_ope(
    truths: Sequence[Truth],
    results: Results,
    counted: Counted,
    *,
    name: str,
    score_frames: ScoreFrames,
    intake: Intake,
    toolkit_names: bool = False,
) -> Scores:
    """Curves per sequence, their unweighted mean, and the numbers read off them, in percent."""
    success, precision, norm = [], [], []
    rows: dict[str, dict[str, float]] = {}
    for truth in truths:
        runs = []
        for run in results.boxes[truth.name]:
            scored = score_frames(*take(run, truth, intake, counted))
            counted["frames of truth that are invalid under this rule"] += int((~scored.valid).sum())
            runs.append(
                (
                    shares_above(scored.overlap, OVERLAPS, scored.frames),
                    shares_within(scored.error, PIXELS, scored.frames),
                    shares_within(scored.norm_error, SIDES, scored.frames),
                    float(np.nan_to_num(scored.overlap[scored.valid]).mean()) if scored.valid.any() else 0.0,
                )
            )
        lines = [100 * np.mean([run[i] for run in runs], axis=0) for i in range(3)]
        success.append(lines[0])
        precision.append(lines[1])
        norm.append(lines[2])
        rows[truth.name] = _numbers(lines, 100 * float(np.mean([run[3] for run in runs])), toolkit_names)
    curves = [np.mean(lines, axis=0) for lines in (success, precision, norm)]
    names = ("success", "precision", "norm_precision")
    return Scores(
        rule=name,
        headline="AUC",
        metrics=_numbers(curves, float(np.mean([row["mIoU"] for row in rows.values()])), toolkit_names),
        per_sequence=rows,
        curves={
            n: Curve(x, y, np.array(each))
            for n, x, y, each in zip(names, (OVERLAPS, PIXELS, SIDES), curves, (success, precision, norm), strict=True)
        },
        counted=+counted,
        parts=mean_parts_of(rows),
    )


def _numbers(curves: Sequence[Boxes], overlap: float, toolkit_names: bool) -> dict[str, float]:
    success, precision, norm = curves
    numbers = {
        "AUC": float(success.mean()),
        "OP50": float(success[10]),
        "OP75": float(success[15]),
        "P20": float(precision[20]),
        "NP20": float(norm[20]),
        "mIoU": overlap,
    }
    return numbers | {"SR50": float(success[10]), "NP_AUC": float(norm.mean())} if toolkit_names else numbers


def _measure(predicted: Boxes, truth: Boxes) -> tuple[Boxes, Boxes, Boxes]:
    return (overlaps(predicted, truth), *centre_errors(predicted, truth))


def _above_zero(boxes: Boxes) -> np.ndarray:
    return np.all(boxes > 0, axis=1)


def _decide(
    overlap: Boxes, error: Boxes, norm: Boxes, good: np.ndarray, *, error_if_bad: float, norm_if_bad: float
) -> FrameScores:
    return FrameScores(
        np.where(good, overlap, -1.0),
        np.where(good, error, error_if_bad),
        np.where(good, norm, norm_if_bad),
        len(overlap),
        good,
    )


def _rule(
    name: str,
    score_frames: ScoreFrames,
    source: Callable[..., FrameScores],
    intake: Intake,
    toolkit_names: bool = False,
) -> Rule:
    score = partial(score_ope, name=name, score_frames=score_frames, intake=intake, toolkit_names=toolkit_names)
    return Rule(name, source.__doc__ or "", score, "AUC")


def ope_rules(tag: str) -> tuple[Rule, ...]:
    """The rules for a one-pass benchmark, the one its authors publish by first.

    Args:
        tag: the name that pytracking's code knows the set under: otb, uav, lasot, lasot_extension_subset, tnl2k, nfs.
    """
    matlab = score_frames_lasot if tag in ("lasot", "lasot_extension_subset", "tnl2k") else score_frames_otb
    keep = Intake(bad="keep")
    authors = Intake(bad="previous", empty="previous") if matlab is score_frames_lasot else keep
    field = Intake(shorter="refuse" if tag == "lasot" else "zeros", empty="previous if zero, refuse if negative")
    return (
        _rule("official", matlab, matlab, authors),
        _rule(
            "pytracking", partial(score_frames_pytracking, tag=tag, sides_only=False), score_frames_pytracking, field
        ),
        _rule("ostrack", partial(score_frames_pytracking, tag=tag, sides_only=True), score_frames_pytracking, field),
        _rule("got10k", score_frames_got10k, score_frames_got10k, dataclasses.replace(keep, shorter="cut truth"), True),
        _rule("pysot", score_frames_pysot, score_frames_pysot, Intake(longer="refuse", bad="keep", first="prediction")),
    )
