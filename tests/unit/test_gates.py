"""The gate: floors, then the champion, every check in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sstrack.gates import GateConfig, judge, paired_bootstrap

NAMES = ("a", "b", "c", "d", "e")


def scores(value: float) -> dict[str, float]:
    return dict.fromkeys(NAMES, value)


def test_a_model_above_every_floor_passes_when_there_is_no_champion():
    verdict = judge(scores(60), untrained=scores(20), static=scores(30), champion=None)
    assert verdict.passed
    assert verdict.comparison is None
    assert all(reason.startswith("passed: ") for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("model", "untrained", "static", "word"),
    [(9, 2, 3, "floor"), (40, 40, 20, "untrained"), (40, 20, 39.5, "never moves")],
)
def test_each_floor_refuses_on_its_own_and_says_so_first(model: float, untrained: float, static: float, word: str):
    verdict = judge(scores(model), untrained=scores(untrained), static=scores(static), champion=None)
    assert not verdict.passed
    assert verdict.reasons[0].startswith("failed: ")
    assert word in verdict.reasons[0]
    assert all(reason.startswith("passed: ") for reason in verdict.reasons[1:])


def test_an_equal_champion_is_kept():
    verdict = judge(scores(60), untrained=scores(20), static=scores(30), champion=scores(60))
    assert not verdict.passed
    assert "champion" in verdict.reasons[0]


def test_a_clearly_better_challenger_replaces_the_champion():
    verdict = judge(scores(60), untrained=scores(20), static=scores(30), champion=scores(50))
    assert verdict.passed
    assert verdict.comparison is not None
    assert verdict.comparison.difference == pytest.approx(10)


def test_one_lucky_sequence_is_not_enough():
    champion = scores(50)
    challenger = {**scores(49), "a": 70}
    verdict = judge(challenger, untrained=scores(20), static=scores(30), champion=champion)
    assert verdict.comparison is not None
    assert verdict.comparison.difference > 0
    assert not verdict.passed


@given(st.lists(st.floats(0, 100), min_size=2, max_size=12), st.lists(st.floats(0, 100), min_size=12, max_size=12))
def test_the_bootstrap_is_deterministic_and_its_interval_lies_within_the_differences(first, second):
    a = {str(i): value for i, value in enumerate(first)}
    b = {str(i): second[i] for i in range(len(first))}
    config = GateConfig(resamples=200)
    once, again = paired_bootstrap(a, b, config), paired_bootstrap(a, b, config)
    assert once == again
    differences = [a[name] - b[name] for name in a]
    assert min(differences) - 1e-9 <= once.low <= once.high <= max(differences) + 1e-9
    assert 0 <= once.share_better <= 1


def test_measurements_on_other_sequences_are_refused():
    with pytest.raises(ValueError, match="same sequences"):
        judge(scores(60), untrained={"a": 1.0}, static=scores(3), champion=None)
    with pytest.raises(ValueError, match="no finite AO for c"):
        judge({**scores(60), "c": float("nan")}, untrained=scores(1), static=scores(3), champion=None)
    with pytest.raises(ValueError, match="share no sequence"):
        paired_bootstrap(scores(1), {"z": 1.0}, GateConfig())


def test_gate_options_have_bounds():
    with pytest.raises(ValueError, match=r"min_ao=101"):
        GateConfig(min_ao=101)
