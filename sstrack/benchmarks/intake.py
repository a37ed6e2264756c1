"""Bring a prediction to the length and form that a rule scores, counting every repair."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.scores import Boxes, Counted
from sstrack.benchmarks.sequence import Truth


@dataclass(frozen=True)
class Intake:
    """What a rule does with rows that do not fit."""

    longer: Literal["cut", "refuse"] = "cut"
    shorter: Literal["refuse", "zeros", "cut truth"] = "refuse"
    bad: Literal["refuse", "previous", "keep"] = "refuse"
    """A prediction row with NaN or infinity. `previous`: the row before it stands in; `keep`: the frame is missed."""
    empty: Literal["keep", "previous", "previous if zero, refuse if negative"] = "keep"
    """A prediction row without positive width and height."""
    first: Literal["truth", "prediction"] = "truth"
    """What is scored on the first frame."""


def take(predicted: Boxes, truth: Truth, intake: Intake, counted: Counted) -> tuple[Boxes, Truth]:
    """[T, 4] prediction rows and the truth they are scored against, T rows each.

    Raises ValueError that names sequence and row where the rule has no way with it.
    """
    if predicted.ndim != 2 or predicted.shape[1] != 4:
        raise ValueError(f"result of {truth.name!r}: expected [T, 4] boxes, got shape {predicted.shape}")
    boxes, truth = _fit(predicted, truth, intake, counted)
    boxes = _repair(boxes.copy(), truth, intake, counted)
    if intake.first == "truth":
        boxes[0] = truth.boxes[0]
    return boxes, truth


def _fit(predicted: Boxes, truth: Truth, intake: Intake, counted: Counted) -> tuple[Boxes, Truth]:
    frames = len(truth)
    if truth.lead and len(predicted) == frames + truth.lead:
        counted["results that start before the annotation, aligned"] += 1
        return predicted[truth.lead :], truth
    if len(predicted) > frames:
        if intake.longer == "refuse":
            raise ValueError(_lengths(truth, predicted))
        counted["results longer than the truth, cut"] += 1
        return predicted[:frames], truth
    if len(predicted) < frames:
        if intake.shorter == "refuse" or len(predicted) == 0:
            raise ValueError(_lengths(truth, predicted))
        if intake.shorter == "zeros":
            counted["results shorter than the truth, filled with zeros"] += 1
            return np.concatenate((predicted, np.zeros((frames - len(predicted), 4)))), truth
        counted["results shorter than the truth, rest not scored"] += 1
        return predicted, _cut(truth, len(predicted))
    return predicted, truth


def _repair(boxes: Boxes, truth: Truth, intake: Intake, counted: Counted) -> Boxes:
    broken: NDArray[np.bool_] = ~np.all(np.isfinite(boxes), axis=1)
    if broken.any() and intake.bad == "refuse":
        row = int(np.argmax(broken))
        raise ValueError(
            f"result of {truth.name!r}, row {row + 1}: {boxes[row].tolist()} is no box, and this rule refuses"
        )
    empty: NDArray[np.bool_] = ~broken & (boxes[:, 2:] <= 0).any(axis=1)
    if empty.any() and intake.empty == "previous if zero, refuse if negative":
        negative = (boxes[:, 2:] < 0).any(axis=1)
        if negative.any():
            row = int(np.argmax(negative))
            raise ValueError(f"result of {truth.name!r}, row {row + 1}: {boxes[row].tolist()} has a negative side")
    replaced = broken & (intake.bad == "previous") | empty & (intake.empty != "keep")
    replaced[0] = False
    if replaced.any():
        counted["rows without a box, replaced by the row before"] += int(replaced.sum())
        last = np.maximum.accumulate(np.where(replaced, 0, np.arange(len(boxes))))
        boxes = boxes[last]
    if intake.bad == "keep" and broken.any():
        counted["rows without a box, counted as missed"] += int(broken.sum())
        boxes[broken] = np.nan
    return boxes


def _cut(truth: Truth, frames: int) -> Truth:
    return Truth(
        truth.name,
        truth.boxes[:frames],
        truth.origin,
        None if truth.absent is None else truth.absent[:frames],
        truth.size,
        attributes=truth.attributes,
        tags={name: values[:frames] for name, values in truth.tags.items()},
    )


def _lengths(truth: Truth, predicted: Boxes) -> str:
    return (
        f"result of {truth.name!r} has {len(predicted)} rows for {len(truth)} frames, which this rule refuses: "
        "one row per frame, the first included"
    )
