"""The rule of benchmark `folder`, and the field's one-pass rules for it."""

from collections.abc import Sequence

import numpy as np

from sstrack.benchmarks.bootstrap import mean_parts_of
from sstrack.benchmarks.intake import Intake, take
from sstrack.benchmarks.metrics.curves import OVERLAPS, overlaps, shares_above
from sstrack.benchmarks.rules.ope import ope_rules
from sstrack.benchmarks.scores import Counted, Curve, Results, Rule, Scores
from sstrack.benchmarks.sequence import Truth


def score_folder(truths: Sequence[Truth], results: Results, counted: Counted) -> Scores:
    """GOT-10k's arithmetic with equal weight per sequence.

    Invalid truth: rows without a box are left out. Predictions: a row with NaN is missed; an empty box is scored
    as it is. Another length is refused. First frame: left out. AO is the mean overlap, SR50 and SR75 the shares
    strictly above 0.5 and 0.75, AUC the mean of the success plot's 21 shares; each is averaged over sequences.
    """
    curves: list[np.ndarray] = []
    rows: dict[str, dict[str, float]] = {}
    intake = Intake(longer="refuse", bad="keep", first="prediction")
    for truth in truths:
        scored = truth.known.copy()
        scored[0] = False
        counted["frames of truth that are invalid under this rule"] += int((~truth.known).sum())
        if not scored.any():
            raise ValueError(
                f"sequence {truth.name!r} has no true box after its first frame, so there is nothing to score"
            )
        values = []
        for run in results.boxes[truth.name]:
            predicted, _ = take(run, truth, intake, counted)
            values.append(np.nan_to_num(overlaps(predicted[scored], truth.boxes[scored])))
        overlap = np.concatenate(values)
        curve = 100 * shares_above(overlap, OVERLAPS, len(overlap))
        curves.append(curve)
        rows[truth.name] = {
            "AO": 100 * float(overlap.mean()),
            "SR50": float(curve[10]),
            "SR75": float(curve[15]),
            "AUC": float(curve.mean()),
        }
    mean = {name: float(np.mean([row[name] for row in rows.values()])) for name in ("AO", "SR50", "SR75", "AUC")}
    success = Curve(OVERLAPS, np.mean(curves, axis=0), np.array(curves))
    return Scores("got10k-like", "AO", mean, rows, {"success": success}, +counted, mean_parts_of(rows))


FOLDER_RULES = (
    Rule("got10k-like", score_folder.__doc__ or "", score_folder, "AO"),
    *(rule for rule in ope_rules("folder") if rule.name != "official"),
)
