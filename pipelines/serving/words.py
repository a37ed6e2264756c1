"""What callers say in words: boxes and JSON, each wrong one told in a sentence."""

import json
import math
from typing import Any

from pipelines.serving.batcher import Box
from pipelines.serving.refusals import Refusal


def box_of_text(text: str) -> Box:
    """`10,20,30,40`: x, y, width, height in pixels."""
    return box_of(text.split(",") if text else [])


def box_of(values: Any) -> Box:
    """Four finite numbers with an area. Raises Refusal for anything else."""
    wrong = Refusal(
        422, "box", f"box {str(values)[:80]}: expected x,y,w,h in pixels of the first frame, w and h above 0"
    )
    if not isinstance(values, list) or len(values) != 4 or any(isinstance(value, bool) for value in values):
        raise wrong
    try:
        x, y, w, h = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise wrong from error
    if not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
        raise wrong
    return x, y, w, h


def object_of(data: str | bytes) -> dict[str, Any]:
    """One JSON object. Raises Refusal for anything else."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:  # of UTF-8 too
        raise Refusal(422, "json", f"no JSON: {error}") from error
    if not isinstance(said, dict):
        raise Refusal(422, "json", f"expected a JSON object, got {type(said).__name__}")
    return said
