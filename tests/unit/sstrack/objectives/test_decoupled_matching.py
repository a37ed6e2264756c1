"""Options that keep `decoupled` from being solved without its template; as published none of them is in force."""

import pytest
import torch
from torch import Generator

from sstrack.configs.objective import published
from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.copy_paste import copy_paste
from sstrack.objectives.decoupled import track_backward, track_forward, with_random_seeds
from sstrack.objectives.registry import build_objective
from sstrack.recipes import recipe
from tests.moving_squares import squares
from tests.unit.sstrack.objectives.test_matching import Everywhere

SMALL = {"net.depth": 1, "net.width": 32, "net.heads": 2, "net.head_width": 16}


def draws(seed: int = 3) -> Generator:
    return Generator().manual_seed(seed)


def test_the_published_objective_has_none_of_them() -> None:
    config = published()
    assert (config.random_seeds, config.view_distractors, config.memory_agrees, config.forward_factor) == (0, 0, 0, 0)
    assert config.track_agrees == 0
    assert config.then == "" and config.carry_query


def test_random_seeds_replace_their_share_where_there_is_texture_and_lose_their_labels() -> None:
    batch = squares(b=8, labelled=True)
    none, every = (with_random_seeds(batch, share, draws()) for share in (0.0, 1.0))
    assert torch.equal(none.seeds, batch.seeds) and torch.equal(none.boxes, batch.boxes)
    assert (every.seeds != batch.seeds).any(1).all() and every.boxes.isnan().all()


def test_distractors_lie_in_views_and_change_no_target() -> None:
    batch = squares(b=4)
    plain, crowded = (
        recipe("tiny_cpu", {**SMALL, "objective.view_distractors": count, "objective.view_changes": ""})
        for count in (0, 6)
    )
    seen = []
    for built in (plain, crowded):
        net = Everywhere()
        clips = copy_paste(batch, 0.0, 48, built.objective, draws())
        memory, _ = track_forward(net, clips, built.net, built.objective, draws(), 0.0)
        views = track_backward(net, clips, memory, built.net, built.objective, draws())
        seen.append((net.searches[-2], views.found[0].target))
    assert torch.equal(seen[0][1], seen[1][1])
    assert ((seen[0][0] - seen[1][0]).abs().amax(1) > 20).flatten(1).float().mean(1).min() > 0.01


@pytest.mark.parametrize(("needed", "kept"), [(0.99, False), (0.0001, True)])
def test_a_template_that_does_not_find_back_gives_way_to_the_first(needed: float, kept: bool) -> None:
    built = recipe(
        "tiny_cpu",
        {**SMALL, "objective.memory_agrees": needed, "objective.view_changes": "", "objective.centre_jitter": 0.5},
    )
    batch = squares(b=4)
    clips = copy_paste(batch, 0.0, 48, built.objective, draws())
    memory, metrics = track_forward(Everywhere(), clips, built.net, built.objective, draws(), 0.0)
    assert metrics["agreed"] == float(kept)
    assert bool((memory.templates[:, 0] != memory.templates[:, 1]).any()) == kept


@pytest.mark.parametrize(("labelled", "kept"), [(True, False), (False, True)])
def test_a_template_from_another_place_than_the_known_track_gives_way_to_the_first(labelled: bool, kept: bool) -> None:
    built = recipe("tiny_cpu", {**SMALL, "objective.track_agrees": 0.99, "objective.view_changes": ""})
    clips = copy_paste(squares(b=4, labelled=labelled), 0.0, 48, built.objective, draws())
    memory, metrics = track_forward(Everywhere(), clips, built.net, built.objective, draws(), 0.0)
    assert metrics["agreed"] == float(kept)
    assert bool((memory.templates[:, 0] != memory.templates[:, 1]).any()) == kept


def test_forward_tracking_can_look_near_the_last_box_instead_of_everywhere() -> None:
    built = recipe("tiny_cpu", {**SMALL, "objective.forward_factor": 4.0, "objective.view_changes": ""})
    batch = squares(b=2)
    clips = copy_paste(batch, 0.0, 48, built.objective, draws())
    net = Everywhere()
    track_forward(net, clips, built.net, built.objective, draws(), 0.0)
    # The bright square fills a quarter of a side, where a whole frame of 100 shows it over a fifth.
    lit = (net.searches[0].mean(1) > 100).float().mean((1, 2))
    assert lit.min() > 0.035


def test_all_of_them_together_train() -> None:
    options = {
        "objective.random_seeds": 0.5,
        "objective.view_distractors": 2,
        "objective.memory_agrees": 0.3,
        "objective.forward_factor": 8.0,
    }
    built = recipe("tiny_cpu", {**SMALL, **options})
    torch.manual_seed(0)
    net = TrackerNet(built.net)
    loss, metrics = build_objective(built.net, built.objective)(net, squares(b=4), draws(), 0.9)
    loss.backward()
    assert torch.isfinite(loss) and 0 <= metrics["agreed"] <= 1
    with pytest.raises(ValueError, match=r"forward_factor.*must be 0, or above 1"):
        recipe("tiny_cpu", {"objective.forward_factor": 0.5})
