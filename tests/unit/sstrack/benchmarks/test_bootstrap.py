"""Intervals over sequences, and numbers by attribute."""

import numpy as np
import pytest

from sstrack.benchmarks.attributes import by_attribute
from sstrack.benchmarks.bootstrap import Parts, intervals, mean_parts
from sstrack.benchmarks.registry import benchmark
from sstrack.benchmarks.scores import Results
from sstrack.benchmarks.scoring import score_results
from sstrack.benchmarks.sequence import Truth


def test_an_interval_holds_the_number_and_narrows_with_more_sequences():
    rng = np.random.default_rng(3)
    few, many = rng.normal(50, 10, 20), rng.normal(50, 10, 2000)
    found = intervals({"few": mean_parts(few), "many": mean_parts(many)})
    for name, values in (("few", few), ("many", many)):
        low, high = found[name]
        assert low < values.mean() < high
        # The normal approximation of a mean's 95 % interval.
        assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(len(values)), rel=0.15)
    assert intervals({"few": mean_parts(few)}) == intervals({"few": mean_parts(few)})


def test_weights_and_lengths_without_fragments():
    parts = Parts(np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[2.0, 0.0], [4.0, 5.0]]))
    assert parts.value()[0] == pytest.approx((4 / 6 + 4 / 5) / 2)
    assert mean_parts(np.array([1.0, 2.0]), np.array([3.0, 1.0])).value()[0] == pytest.approx(1.25)
    assert intervals({"none": mean_parts(np.zeros(2), np.zeros(2))}) == {}


def test_an_attribute_is_the_number_over_the_sequences_that_carry_it():
    entry = benchmark("otb100")
    boxes = np.tile([5.0, 5.0, 20.0, 20.0], (10, 1))
    labels = {"Skiing": {"FM", "SV"}, "Couple": {"FM"}, "Car4": set()}
    truths = [Truth(name, boxes, attributes=frozenset(marks)) for name, marks in labels.items()]
    shifts = {"Skiing": 0.0, "Couple": 4.0, "Car4": 12.0}
    results = Results({name: [boxes + np.array([shift, 0, 0, 0])] for name, shift in shifts.items()})
    scores = score_results(entry, truths, results, entry.rule(None))
    found = by_attribute(scores, truths)
    auc = {name: row["AUC"] for name, row in scores.per_sequence.items()}
    assert found == {
        "FM": {"value": pytest.approx((auc["Skiing"] + auc["Couple"]) / 2), "sequences": 2},
        "SV": {"value": pytest.approx(auc["Skiing"]), "sequences": 1},
    }
