"""The parts of a report that decide something: numbers in words, where a target was lost, published figures."""

import base64

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluation.numbers import interval, shown
from pipelines.evaluation.report.frames import LOST, LOST_FOR, lost_at, strip
from pipelines.evaluation.report.published import published_on
from sstrack.benchmarks.registry import benchmark, benchmark_names

OVERLAPS = st.lists(st.one_of(st.just(float("nan")), st.floats(0, 1)), min_size=1, max_size=80).map(np.array)


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        ("AO", 0.0, "0.0"), ("AUC", 69.58, "69.6"), ("EAO", 0.44909, "0.449"), ("failures", 59.0, "59"),
        ("failures", 2.5, "2.5"), ("P20", float("nan"), "–"),
    ],
)  # fmt: skip
def test_numbers_read_as_the_field_prints_them(metric: str, value: float, words: str):
    assert shown(metric, value) == words


def test_an_interval_has_the_digits_of_its_number():
    assert interval("AO", 0.0, 4.26) == "0.0 – 4.3"
    assert interval("EAO", 0.3, 0.5) == "0.300 – 0.500"


@given(OVERLAPS)
def test_lost_is_the_first_frame_of_a_stretch_that_is_long_enough_or_the_last(overlap: np.ndarray):
    found = lost_at(overlap)
    known = [int(at) for at in np.flatnonzero(~np.isnan(overlap))]

    def stays_low(place: int) -> bool:
        return all(overlap[at] <= LOST for at in known[place : place + LOST_FOR])

    assert found == next((at for place, at in enumerate(known) if stays_low(place)), None)


@given(OVERLAPS)
def test_a_strip_has_a_pixel_a_frame_until_there_are_too_many(overlap: np.ndarray):
    data = np.frombuffer(base64.b64decode(strip(overlap).partition(",")[2]), dtype=np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (1, len(overlap), 3)
    grey = (picture[0] == (184, 178, 176)).all(axis=1)
    assert grey.tolist() == np.isnan(overlap).tolist()


def test_published_figures_are_of_benchmarks_and_metrics_that_exist():
    found = {name: published_on(name) for name in benchmark_names()}
    assert {row.name for row in found["lasot"]} >= {"SSTrack-B256", "SSTrack-B384", "ODTrack-B", "OSTrack-384", "USOT"}
    for name, rows in found.items():
        headlines = {rule.headline for rule in benchmark(name).rules} or {"AO"}
        for row in rows:
            assert set(row.metrics) & headlines and "on GitHub" in row.source
            assert all(0 < value < (1 if metric in ("EAO", "A", "R") else 100) for metric, value in row.metrics.items())
    assert published_on("folder") == []
