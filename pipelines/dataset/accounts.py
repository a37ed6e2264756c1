"""Are all seconds told of? What was read of each source is in a clip or in a reject row, to within a stored frame."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]

_ROUNDING_S = 0.002


def unaccounted(
    sources: Iterable[Row], clips: Iterable[Row], rejects: Iterable[Row], fps: float
) -> list[tuple[Row, float]]:
    """Sources of which more, or less, than one stored frame is in no clip and no reject row, and the seconds told of.

    Rows are those of the tables; `fps` is the rate that frames are stored at. A source of which nothing but whole
    rejects is known counts as told.
    """
    told: dict[str, float] = defaultdict(float)
    slowest: dict[str, float] = {}
    parted, rejected = set[str](), set[str]()
    for row in clips:
        key = row["source_id"]
        told[key] += row["end_s"] - row["start_s"]
        slowest[key] = min(slowest.get(key, row["fps"]), row["fps"])
        parted.add(key)
    for row in rejects:
        key = row["source_id"]
        rejected.add(key)
        if row["start_s"] is not None and row["end_s"] is not None:
            told[key] += row["end_s"] - row["start_s"]
            parted.add(key)
    wrong: list[tuple[Row, float]] = []
    for row in sources:
        key = row["source_id"]
        if row["seconds"] <= 0 or (key in rejected and key not in parted):
            continue
        frame_s = 1 / min(rate for rate in (row["fps"], slowest.get(key, fps)) if rate > 0)
        if abs(told[key] - row["seconds"]) > frame_s + _ROUNDING_S:
            wrong.append((row, told[key]))
    return wrong
