"""The gate: floors, then the champion, every check in words; and how often it is wrong, on simulated trackers."""

import itertools
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sstrack.gates import Check, GateConfig, Measured, Verdict, compare, judge, level_of_trial
from sstrack.gates.compare import sign_flip_p
from sstrack.gates.config import fields_of_gate
from sstrack.gates.simulated import EQUAL, noise, rare_losses

NAMES = tuple("abcdefghijkl")


def scores(value: float) -> dict[str, float]:
    return dict.fromkeys(NAMES, value)


def measured(model: float, champion: float | dict[str, float] | None = None, **changes: dict[str, float]) -> Measured:
    held = scores(champion) if isinstance(champion, float | int) else champion
    return Measured(
        **{"challenger": scores(model), "untrained": scores(20), "static": scores(30), "champion": held} | changes
    )


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if check.passed is False]


def test_a_model_above_every_floor_passes_when_there_is_no_champion():
    verdict = judge({"b": measured(60)}, template_lead=0.2)
    assert verdict.passed and verdict.comparison("the champion") is None
    assert all(reason.startswith("passed: ") for reason in verdict.reasons)
    assert {check.name for check in verdict.checks} == {
        "floor",
        "untrained",
        "static",
        "template_lead",
        "sequences",
        "sure",
    }


@pytest.mark.parametrize(
    ("model", "untrained", "static", "name", "word"),
    [(9, 2, 3, "floor", "floor"), (40, 40, 20, "untrained", "its start"), (40, 20, 39.5, "static", "never moves")],
)
def test_each_floor_refuses_on_its_own_and_says_so_first(
    model: float, untrained: float, static: float, name: str, word: str
):
    verdict = judge({"b": measured(model, untrained=scores(untrained), static=scores(static))})
    assert not verdict.passed
    assert name in failed(verdict) and word in verdict.reasons[0]


def test_an_equal_champion_is_kept_and_so_is_one_that_is_worse_by_next_to_nothing():
    for gain in (0.0, 0.01, 0.49):
        verdict = judge({"b": measured(60 + gain, 60)})
        assert not verdict.passed and "gain" in failed(verdict), gain
        assert "against the champion" in verdict.reasons[0]
    assert judge({"b": measured(60.6, 60)}).passed


def test_a_clearly_better_challenger_replaces_the_champion():
    verdict = judge({"b": measured(60, 50)})
    assert verdict.passed
    found = verdict.comparison("the champion")
    assert found is not None
    assert found.difference == pytest.approx(10) and found.p == 0.5 ** len(NAMES)


def test_one_lucky_sequence_is_not_enough():
    verdict = judge({"b": measured(0, 50, challenger={**scores(49), "a": 90})})
    found = verdict.comparison("the champion")
    assert found is not None and found.difference > 2
    assert failed(verdict) == ["sure"]


def test_too_few_sequences_decide_nothing_and_it_says_how_many_do():
    few = dict.fromkeys(NAMES[:9], 90.0)
    low = dict.fromkeys(few, 10.0)
    verdict = judge({"b": Measured(few, low, low, low)})
    assert failed(verdict) == ["sequences"]
    assert "9 sequences" in verdict.reasons[0] and "fewer than 10" in verdict.reasons[0]
    assert judge({"b": Measured(few, low, low, low)}, config=GateConfig(min_sequences=9)).passed


def test_a_champion_measured_on_other_sequences_is_kept():
    verdict = judge({"b": measured(60, {"a": 10.0, "z": 10.0})})
    assert failed(verdict) == ["sequences"]
    assert "share 1 of 13 sequences" in verdict.reasons[0]


def test_each_further_challenger_has_to_be_surer_and_all_together_spend_no_more_than_was_allowed():
    levels = [level_of_trial(0.05, trial) for trial in range(1, 5001)]
    assert all(later < earlier for earlier, later in itertools.pairwise(levels))
    assert sum(levels) < 0.05
    assert judge({"b": measured(60, 50)}, trial=21).passed
    late = judge({"b": measured(60, 50)}, trial=52)
    assert not late.passed and late.trial == 52 and "so measure on more" in late.reasons[0]
    with pytest.raises(ValueError, match="counted from 1"):
        level_of_trial(0.05, 0)


def test_speed_and_template_lead_are_floors_where_they_are_known():
    slow = judge({"b": measured(60)}, fps=3, config=GateConfig(min_fps=5))
    assert failed(slow) == ["speed"] and "3.0 frames/s" in slow.reasons[0]
    assert failed(judge({"b": measured(60)}, config=GateConfig(min_fps=5))) == ["speed"]
    assert failed(judge({"b": measured(60)}, template_lead=0.05)) == ["template_lead"]
    unknown = judge({"b": measured(60)})
    assert unknown.passed
    assert unknown.reasons[-1].startswith("not checked: nobody measured the template's lead")


def test_several_benchmarks_floors_on_all_a_win_on_the_pooled_ones_and_no_large_loss_anywhere():
    wins = {"far": measured(60, 50), "near": measured(50, 49)}
    assert judge(wins).passed
    found = judge(wins).comparison("the champion")
    assert found is not None and found.difference == pytest.approx(5.5) and found.sequences == 24
    assert failed(judge({"far": measured(60, 50), "near": measured(46, 49)})) == ["loss"]
    floor = judge({"far": measured(60, 20), "near": measured(9, 9, untrained=scores(1), static=scores(1))})
    assert failed(floor) == ["floor"] and "on near" in floor.reasons[0]
    assert failed(judge(wins, config=GateConfig(primary="near", min_gain=2))) == ["gain"]
    with pytest.raises(ValueError, match="did you mean near"):
        judge(wins, config=GateConfig(primary="neer"))
    with pytest.raises(ValueError, match="some of the benchmarks only"):
        judge({"far": measured(60, 50), "near": measured(60)})
    with pytest.raises(ValueError, match="no benchmark"):
        judge({})


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=9))
@example([sys.float_info.min])
def test_the_p_is_the_share_of_sign_choices_that_reach_the_sum(differences: list[float]):
    values = np.array(differences)
    grid = max(8192, 64 * len(values))
    total = np.abs(values).sum()
    steps = np.rint(np.abs(values) / total * grid) if total else np.abs(values)
    rounded = np.sign(values) * steps
    flips = np.array(list(itertools.product((-1, 1), repeat=len(values))))
    share = float((flips @ np.abs(rounded) >= rounded.sum()).mean())
    assert sign_flip_p(values) == pytest.approx(share)


@given(st.lists(st.floats(-50, 50), min_size=10, max_size=20), st.floats(0.1, 10))
def test_the_comparison_does_not_depend_on_names_order_or_scale(differences: list[float], scale: float):
    first = {str(index): 50 + value for index, value in enumerate(differences)}
    second = dict.fromkeys(first, 50.0)
    found = compare([(first, second)], "x")
    again = compare([(dict(reversed(first.items())), second)], "x")
    assert (found.p, found.sequences) == (again.p, again.sequences)
    assert found.difference == pytest.approx(np.mean(differences), abs=1e-9)
    tolerance = 1e-9
    assert min(differences) - tolerance <= found.low <= found.high <= max(differences) + tolerance
    other_way = compare([(second, first)], "x")
    assert found.p + other_way.p >= 1 - 1e-9  # both count the ties


def test_measurements_on_other_sequences_or_without_a_number_are_refused():
    with pytest.raises(ValueError, match="same sequences"):
        judge({"b": measured(60, untrained={"a": 1.0})})
    with pytest.raises(ValueError, match="no finite AO for c"):
        judge({"b": measured(60, challenger={**scores(60), "c": float("nan")})})
    with pytest.raises(ValueError, match="same sequences"):
        compare([(scores(1), {"z": 1.0})], "x")


def test_every_field_has_bounds_that_hold_and_help():
    for field in fields_of_gate():
        assert field["help"].endswith(".")
        for bound in {"low", "high"} & set(field):
            GateConfig(**{field["name"]: field[bound]})
    with pytest.raises(ValueError, match=r"GateConfig.min_ao = 101: must lie in 0..100"):
        GateConfig(min_ao=101)
    with pytest.raises(ValueError, match="min_sequences"):
        GateConfig(min_sequences=3)


def test_a_further_check_keeps_failed_ones_first():
    verdict = judge({"b": measured(60)}).with_check(Check("smoke", False, "the package does not load"))
    assert not verdict.passed and verdict.reasons[0] == "failed: the package does not load."
    assert verdict.as_dict()["passed"] is False


def promoted(differences: NDArray[np.float64], trial: int = 1) -> NDArray[np.bool_]:
    """[T] the gate's word on differences [T, n] that pass all floors: gain, then sureness. Held to `judge` below."""
    config = GateConfig()
    gained = differences.mean(axis=1) >= config.min_gain
    level = level_of_trial(config.false_promotions, trial)
    gained[gained] = [sign_flip_p(row) <= level for row in differences[gained]]
    return gained


def test_the_simulation_below_is_of_the_gate_itself():
    rng = np.random.default_rng(3)
    for trial, gain in itertools.product((1, 7), (0.0, 6.0)):
        differences = noise(10.0)(rng, 25, 12) + gain
        low = dict.fromkeys(NAMES, -500.0)
        words = [
            judge(
                {"b": Measured(dict(zip(NAMES, (60 + row).tolist(), strict=True)), low, low, scores(60))}, trial=trial
            ).passed
            for row in differences
        ]
        assert words == promoted(differences, trial).tolist()


@pytest.mark.parametrize("count", [10, 12, 28, 100])
@pytest.mark.parametrize("name", sorted(EQUAL))
def test_of_equal_trackers_at_most_one_in_twenty_is_promoted_and_of_worse_ones_fewer(name: str, count: int):
    differences = EQUAL[name](np.random.default_rng(5), 2000 if count < 100 else 500, count)
    assert promoted(differences).mean() <= 0.03
    assert promoted(differences - 3.0).mean() <= 0.01


@pytest.mark.parametrize("name", ["noise sd 10", "lost targets"])
def test_in_a_year_of_weekly_equal_challengers_one_in_twenty_champions_falls_at_most(name: str):
    years, fallen = 1000, np.zeros(1000, dtype=bool)
    for week in range(1, 53):
        fallen |= promoted(EQUAL[name](np.random.default_rng(1000 + week), years, 16), week)
    assert fallen.mean() <= 0.05


def test_a_real_gain_is_seen():
    def power(spread: float, count: int, gain: float, trial: int = 1) -> float:
        return float(promoted(noise(spread)(np.random.default_rng(7), 300, count) + gain, trial).mean())

    assert power(5, 28, 5) > 0.95
    assert power(10, 100, 5) > 0.95
    assert power(10, 28, 8, trial=10) > 0.65


def test_on_few_sequences_a_win_says_that_rare_losses_went_unseen():
    won = judge({"b": measured(60, 50)})
    (blind,) = [check for check in won.checks if check.name == "rare_losses"]
    assert won.passed and blind.passed is None and "none of 12 sequences with a chance of 0.28" in blind.sentence
    many = [str(number) for number in range(29)]
    high, low = dict.fromkeys(many, 60.0), dict.fromkeys(many, 10.0)
    assert "rare_losses" not in {check.name for check in judge({"b": Measured(high, low, low, low)}).checks}


def test_how_often_trackers_that_lose_rarely_and_much_pass_is_what_the_docs_say():
    """No test of the differences can see a target that is not there; only more sequences help."""
    share = {
        count: float(promoted(rare_losses(0.1)(np.random.default_rng(5), 1000, count)).mean())
        for count in (12, 28, 100)
    }
    assert 0.15 < share[12] < 0.25 and 0.05 < share[28] < 0.1 and share[100] < 0.05
