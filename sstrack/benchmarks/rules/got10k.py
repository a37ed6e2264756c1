"""GOT-10k's own rule: AO and SR pooled over all frames of all clips."""

from collections.abc import Sequence

import numpy as np

from sstrack.benchmarks.bootstrap import mean_parts
from sstrack.benchmarks.intake import Intake, take
from sstrack.benchmarks.metrics.curves import overlaps, shares_above
from sstrack.benchmarks.scores import Boxes, Counted, Curve, Results, Rule, Scores
from sstrack.benchmarks.sequence import Truth

THRESHOLDS = np.linspace(0, 1, 101)
COVERED = "covered"
"""The tag of frames in which nothing of the target is seen (cover label 0)."""


def clip_as_toolkit(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """[T, 4] boxes limited to an image of `size` (width, height) the way the toolkit does.

    x goes to 0..W first and w to at most W - x only then: a box that starts left of the image is shifted in, not cut.
    """
    width, height = size
    low = np.clip(boxes[:, :2], 0, (width, height))
    side = np.clip(boxes[:, 2:], 0, np.array((width, height)) - low)
    return np.concatenate((low, side), axis=1)


def score_got10k(truths: Sequence[Truth], results: Results, counted: Counted) -> Scores:
    """The toolkit's validation figures.

    Invalid truth: frames whose cover label is 0 are removed; nothing else is. Predictions: clipped to the image like
    the truth (left of it a box is shifted, not cut); NaN is refused. Lengths: both are cut to the shorter, counted.
    First frame: removed. All repetitions and clips are pooled, so long clips weigh more. AO is the mean overlap, SR50
    the share strictly above 0.5, SR75 the success curve's value at 0.75 of 101 thresholds.
    """
    pooled: list[np.ndarray] = []
    rows: dict[str, dict[str, float]] = {}
    for truth in truths:
        if truth.size is None:
            raise ValueError(f"{truth.name}: no image size; meta_info.ini needs a line 'resolution: (width, height)'")
        mine: list[np.ndarray] = []
        for run in results.boxes[truth.name]:
            predicted, cut = take(run, truth, Intake(shorter="cut truth", first="prediction"), counted)
            value = overlaps(clip_as_toolkit(predicted, truth.size), clip_as_toolkit(cut.boxes, truth.size))
            scored = ~cut.tags.get(COVERED, np.zeros(len(cut), dtype=bool))
            scored[0] = False
            counted["frames of truth that are invalid under this rule"] += int((~scored[1:]).sum())
            mine.append(value[scored])
        joined = np.concatenate(mine)
        pooled.append(joined)
        rows[truth.name] = _numbers(joined)
    everything = np.concatenate(pooled)
    metrics = _numbers(everything)
    seconds = [time[time > 0] for times in results.seconds.values() for time in times]
    if seconds and sum(map(len, seconds)):
        metrics["fps"] = float(np.mean(1 / np.concatenate(seconds)))
    weights = np.array([len(clip) for clip in pooled], dtype=np.float64)
    each = np.array([100 * shares_above(clip, THRESHOLDS, max(len(clip), 1)) for clip in pooled])
    curve = Curve(THRESHOLDS, 100 * shares_above(everything, THRESHOLDS, max(len(everything), 1)), each, weights)
    parts = {
        name: mean_parts(np.array([row[name] for row in rows.values()]), weights) for name in ("AO", "SR50", "SR75")
    }
    return Scores("official", "AO", metrics, rows, {"success": curve}, +counted, parts)


def _numbers(overlap: np.ndarray) -> dict[str, float]:
    if not len(overlap):
        return {"AO": 0.0, "SR50": 0.0, "SR75": 0.0}
    shares = shares_above(overlap, THRESHOLDS[[50, 75]], len(overlap))
    return {"AO": 100 * float(overlap.mean()), "SR50": 100 * float(shares[0]), "SR75": 100 * float(shares[1])}


GOT10K = Rule("official", score_got10k.__doc__ or "", score_got10k, "AO", aliases=("got10k",))
