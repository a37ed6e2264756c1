"""Whether what is compared was measured on one and the same thing."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.errors import SSTrackError


def require_alike(benchmark: str, reports: Sequence[Mapping[str, Any]], static: Mapping[str, Any]) -> None:
    """Refuse to compare evaluations of a benchmark whose frames or truth changed between one and the next.

    Args:
        benchmark: its name.
        reports: evaluations as dictionaries: `results`, whose last part is the content's digest, and `annotation`.
        static: scores of the box that never moves, with their `annotation`.

    Raises SSTrackError.
    """
    contents = {str(each["results"]).rpartition("/")[2] for each in reports}
    if len(contents) > 1 or {each["annotation"] for each in reports} != {static["annotation"]}:
        raise SSTrackError(
            f"benchmark {benchmark} was changed while models were measured on it one after the other, so they cannot "
            "be compared: run the same again when nothing writes to it any more; what is measured is found"
        )
