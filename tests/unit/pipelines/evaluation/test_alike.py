"""What a gate compares was measured on one state of a benchmark."""

import pytest

from pipelines.errors import SSTrackError
from pipelines.evaluation.alike import require_alike

ONE = {"results": "/out/tracker/folder@1/one_pass/aaaa", "annotation": "x"}
OTHER = {"results": "/out/start/folder@1/one_pass/aaaa", "annotation": "x"}


def test_equal_content_is_compared() -> None:
    require_alike("folder", [ONE, OTHER], {"annotation": "x"})


@pytest.mark.parametrize(
    "reports",
    [
        [ONE, {**OTHER, "results": "/out/start/folder@1/one_pass/bbbb"}],
        [ONE, {**OTHER, "annotation": "y"}],
        [{**ONE, "annotation": "y"}, {**OTHER, "annotation": "y"}],
    ],
    ids=["other frames", "other truth", "other truth than the static box had"],
)
def test_what_changed_in_between_is_refused(reports: list[dict[str, str]]) -> None:
    with pytest.raises(SSTrackError, match="benchmark folder was changed while"):
        require_alike("folder", reports, {"annotation": "x"})
