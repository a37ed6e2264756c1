"""Two objectives in one run: which one trains follows from the progress alone."""

import pytest
import torch
from torch import Generator

from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.matching import Matching
from sstrack.objectives.phased import Phased
from sstrack.objectives.registry import build_objective
from sstrack.recipes import recipe
from tests.moving_squares import squares

PHASES = {
    "net.depth": 1,
    "net.width": 32,
    "net.heads": 2,
    "net.head_width": 16,
    "objective.name": "matching",
    "objective.then": "single_frame",
    "objective.then_from": 0.5,
}


@pytest.mark.parametrize(("progress", "within", "name"), [(0.25, 0.5, "matching"), (0.75, 0.5, "single_frame")])
def test_each_phase_is_its_objective_with_its_own_progress(progress: float, within: float, name: str) -> None:
    built = recipe("tiny_cpu", PHASES)
    alone = recipe("tiny_cpu", {**PHASES, "objective.then": "", "objective.name": name})
    torch.manual_seed(0)
    net = TrackerNet(built.net)
    both, metrics = build_objective(built.net, built.objective)(net, squares(), Generator().manual_seed(3), progress)
    one, _ = build_objective(alone.net, alone.objective)(net, squares(), Generator().manual_seed(3), within)
    assert torch.equal(both, one) and metrics["phase"] == (1 if name == "matching" else 2)


def test_the_first_step_of_the_second_phase_is_where_it_was_asked_for() -> None:
    built = recipe("tiny_cpu", PHASES)
    objective = build_objective(built.net, built.objective)
    assert isinstance(objective, Phased) and isinstance(objective._now(0.499)[0], Matching)
    assert objective._now(0.5) == (objective.second, 0.0)


def test_the_tracker_does_as_the_last_phase_did() -> None:
    last = {**PHASES, "objective.then": "decoupled"}
    assert recipe("tiny_cpu", last).tracking_as_trained.carry_frames == 3
    assert recipe("tiny_cpu", PHASES).tracking_as_trained.carry_frames == 0


def test_a_second_objective_has_to_exist_and_to_begin_between_start_and_end() -> None:
    with pytest.raises(ValueError, match="did you mean decoupled"):
        recipe("tiny_cpu", {**PHASES, "objective.then": "decoupeld"})
    with pytest.raises(ValueError, match=r"then_from.*between 0 and 1"):
        recipe("tiny_cpu", {**PHASES, "objective.then_from": 1.0})
