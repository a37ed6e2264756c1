"""A failure so late that no start follows: where the Matlab toolkit and pysot part."""

from collections.abc import Callable

import numpy as np
import pytest

from sstrack.benchmarks.metrics.vot_reset import ResetScores, score_matlab, score_pysot
from sstrack.benchmarks.regions import Regions, parse_regions, polygon_regions
from sstrack.benchmarks.sequence import Truth

SQUARE = (10, 10, 20, 10, 20, 20, 10, 20)


def still(name: str, frames: int) -> Truth:
    regions = polygon_regions(np.tile(np.array(SQUARE, dtype=np.float64), (frames, 1)))
    return Truth(name, regions.boxes, size=(64, 48), regions=regions)


def perfect(frames: int, fails_at: int | None = None) -> Regions:
    """Answers that are the truth up to a failure; a start follows it where the protocol has room for one."""
    rows = ["1"] + [",".join(map(str, SQUARE))] * (frames - 1)
    if fails_at is not None:
        rows[fails_at:] = (["2", "0", "0", "0", "0", "1"] + rows[1:2] * frames)[: frames - fails_at]
    return parse_regions("\n".join(rows).encode(), "run")


def scored(score: Callable[..., ResetScores], fails_at: int, frames: int = 30, longer: int = 40) -> ResetScores:
    truths = [still("late", frames), still("long", longer)]
    runs = {"late": [perfect(frames, fails_at)], "long": [perfect(longer)]}
    return score(truths, runs, (2, longer))


def test_five_frames_before_the_end_matlab_sees_no_failure_and_pysot_one_that_weighs_less():
    matlab, pysot = scored(score_matlab, 25), scored(score_pysot, 25)
    length = np.arange(1, 40)
    late = np.where(length < 25, 1.0, 24 / length)  # overlaps on frames 1 to 24
    known = length < 30
    np.testing.assert_allclose(matlab.curve[1:], np.where(known, (1 + late) / 2, 1.0))
    weight = 30 / 31
    np.testing.assert_allclose(pysot.curve[1:], (1 + weight * late) / (1 + weight))
    assert (matlab.accuracy, matlab.robustness) == (pysot.accuracy, pysot.robustness)
    assert matlab.eao - pysot.eao > 0.03


@pytest.mark.parametrize("fails_at", [10, 24, 26, 29])
def test_at_every_other_frame_they_agree(fails_at: int):
    matlab, pysot = scored(score_matlab, fails_at), scored(score_pysot, fails_at)
    assert matlab.eao == pysot.eao
