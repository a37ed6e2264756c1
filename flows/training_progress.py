"""How a training shows its progress where there is no terminal: log lines, and an artifact in the Prefect UI."""

import math
from collections.abc import Callable, Mapping

from flows.task_progress import TaskProgress


def in_words(row: Mapping[str, float]) -> str:
    """What of a row a person wants to see while waiting: loss, overlap, speed, and whether data keeps it waiting."""
    words = [f"loss {row['loss']:.2f}"]
    overlap = "backward" if "backward_iou" in row else "search"
    for name, text in ((f"{overlap}_iou", f"{overlap} IoU"), (f"validation_{overlap}_iou", "validation IoU")):
        if math.isfinite(row.get(name, math.nan)):
            words.append(f"{text} {row[name]:.2f}")
    if "samples_per_s" in row:
        words.append(f"{row['samples_per_s']:.1f} samples/s")
    if "data_wait" in row:
        words.append(f"{row['data_wait']:.0%} waiting for data")
    if row.get("skipped"):
        words.append(f"{row['skipped']:.0f} steps skipped")
    return ", ".join(words)


def in_task(every: float = 5.0) -> Callable[[Mapping[str, float], int], None]:
    """What to call with each row and the number of all steps, in the task that trains; see `TaskProgress`."""
    show = TaskProgress("train-progress", "train", "steps", every)
    return lambda row, steps: show(int(row["step"]), steps, in_words(row))
