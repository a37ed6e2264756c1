"""`matching`: pairs whose boxes are true, kinds that have their share, and tracks that count only where they agree."""

import dataclasses

import pytest
import torch
from torch import Generator, Tensor

from sstrack.boxes import iou
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.crops import crop, square_region, to_region
from sstrack.models.head import HeadMaps
from sstrack.models.tracker_net import NetOutput
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.match_pairs import (
    Shares,
    choose_targets,
    cut_pairs,
    other_frames,
    paste_targets,
    template_places,
)
from sstrack.objectives.matching import Matching, matching
from sstrack.objectives.patches import changed, outlined, random_boxes
from sstrack.templates import cut_templates, with_target
from tests.moving_squares import squares

NET = NetConfig(depth=1, width=24, heads=1, head_width=16, mark_target=True)
CALM = ObjectiveConfig(
    name="matching",
    random_targets=0.0,
    near_distractors=0,
    cover_share=0.0,
    view_changes="",
    template_changes="",
    paste_changes="",
)
"""Nothing beside or over the target, nothing changed."""


def generator(seed: int = 3) -> Generator:
    return Generator().manual_seed(seed)


class Everywhere:
    """Answers that the target fills the region's middle quarter, with the same score each time."""

    def __init__(self) -> None:
        self.templates: list[Tensor] = []
        self.searches: list[Tensor] = []

    def __call__(
        self, templates: Tensor, search: Tensor, query: Tensor | None = None, eliminate: float = 1.0
    ) -> NetOutput:
        self.templates.append(templates)
        self.searches.append(search)
        side = NET.search_size // NET.patch
        score = torch.full((len(search), side, side), 0.2)
        score[:, side // 2, side // 2] = 0.7
        maps = HeadMaps(score, torch.zeros(len(search), 2, side, side), torch.full((len(search), 2, side, side), 0.25))
        return NetOutput(maps, torch.zeros(len(search), NET.width), torch.zeros(len(search), side**2, NET.width))


def bright(pictures: Tensor) -> Tensor:
    """Boxes `[B, 4]` (xywh over the side) around what is brighter than the noise of `squares`."""
    lit = (pictures.mean(1) > 100).float()
    ends = []
    for axis in (-2, -1):
        line = lit.mean(axis) > 0.04
        first, last = line.float().argmax(1), line.shape[1] - line.flip(1).float().argmax(1)
        ends.append(torch.stack((first, last - first)))
    (x, w), (y, h) = ends
    return torch.stack((x, y, w, h), 1) / pictures.shape[-1]


@pytest.mark.parametrize("shares", [Shares(0, 0, 2), Shares(0, 4, 2)])
def test_targets_are_where_the_pairs_say_in_views_and_templates(shares: Shares) -> None:
    """Of a frame's own target and of pasted ones; the squares are the only bright things."""
    batch = squares(b=4, later=2)
    if shares.pasted:  # hosts of noise alone
        batch = dataclasses.replace(batch, frames=batch.frames.clone())
    config = dataclasses.replace(CALM, scale_jitter=0.05, centre_jitter=1.0)
    draws = generator(5)
    targets = choose_targets(batch, config, draws)
    pasted = paste_targets(batch, targets, shares, config, draws)
    hosts = dataclasses.replace(batch, frames=batch.frames % 90) if shares.pasted else batch
    places = template_places(targets, pasted, shares, [], 3, draws)
    pairs = cut_pairs(hosts, targets, pasted, places, shares, NET, config, draws)
    assert pairs.templates.shape == (4, 2, 4, NET.template_size, NET.template_size)
    inside = pairs.targets.clone()
    corners = torch.cat((inside[:, :2], inside[:, :2] + inside[:, 2:]), 1).clamp(0, 1)
    inside = torch.cat((corners[:, :2], corners[:, 2:] - corners[:, :2]), 1)
    assert (iou(bright(pairs.views), inside) > 0.7).all()
    # The first template has its target in the middle, over half of its side.
    middle = bright(pairs.templates[:, 0, :3])
    assert (middle[:, :2] + middle[:, 2:] / 2 - 0.5).abs().max() < 0.08


def test_random_boxes_lie_in_their_pictures_and_are_wide_and_tall() -> None:
    sizes = torch.tensor([[320.0, 180.0]]).expand(400, 2)
    boxes = random_boxes(sizes, generator())
    assert (boxes[:, :2] >= 0).all() and (boxes[:, :2] + boxes[:, 2:] <= sizes + 1e-3).all()
    side = boxes[:, 2:].prod(-1).sqrt() / 180
    assert 0.05 < side.min() < 0.09 and 0.33 < side.max() < 0.41
    aspect = boxes[:, 2] / boxes[:, 3]
    assert aspect.min() < 0.5 and aspect.max() > 2


def test_random_targets_show_texture_and_come_from_any_frame() -> None:
    batch = squares(b=8, later=2)
    flat = batch.frames.clone()
    flat[:4] = 50  # nothing to see in these but their seeds
    drawn = [
        choose_targets(dataclasses.replace(batch, frames=flat), ObjectiveConfig(random_targets=1.0), generator(seed))
        for seed in range(20)
    ]
    assert all(torch.equal(each.boxes[:4], batch.seeds[:4]) and not each.base[:4].any() for each in drawn)
    assert all(not torch.equal(each.boxes[4:], batch.seeds[4:]) for each in drawn)
    assert {int(index) for each in drawn for index in each.base[4:]} == {0, 1, 2}


def test_a_changed_patch_is_cut_to_what_can_be_seen_of_it() -> None:
    patches = outlined(torch.full((6, 3, 64, 64), 200.0), generator())
    for name in ("turn", "shear", "scale"):
        cut, seen = changed(patches, ((name, 1.0),), generator())
        opaque = cut[:, 3] > 0.5
        for axis in (1, 2):  # every side of the cut is touched
            line = opaque.any(axis)
            assert line[:, :2].any(1).all() and line[:, -2:].any(1).all()
        assert (seen <= 1).all() and (seen > 0.4).all()


def test_other_frames_come_nearest_first() -> None:
    assert other_frames(torch.tensor([0, 1, 3]), 4).tolist() == [[1, 2, 3], [0, 2, 3], [2, 1, 0]]


def test_kinds_have_their_shares_over_many_seeds_and_tracking_starts_late() -> None:
    objective = matching(NET, ObjectiveConfig(name="matching", tracked_share=0.3, paste_share=0.4, tracked_from=0.5))
    assert isinstance(objective, Matching)
    late = [objective._shares(8, generator(seed * 1_000_003_333_333), 0.6) for seed in range(4000)]
    assert sum(s.tracked for s in late) / 4000 == pytest.approx(2.4, abs=0.1)
    assert sum(s.pasted for s in late) / 4000 == pytest.approx(3.2, abs=0.1)
    assert {s.templates for s in late} == {1, 2}
    assert all(objective._shares(8, generator(seed), 0.4).tracked == 0 for seed in range(50))


def test_tracked_samples_count_only_where_the_search_agrees() -> None:
    """The network always answers the middle; a view's target is there or not."""
    batch = squares(b=6, later=2)
    config = dataclasses.replace(CALM, tracked_share=1.0, tracked_from=0.0, paste_share=0.0, scale_jitter=0.0)
    net = Everywhere()
    loss, metrics = matching(NET, dataclasses.replace(config, centre_jitter=0.0))(net, batch, generator(), 0.5)
    assert loss > 0 and metrics["agreed"] == 1 and metrics["forward_score"] == pytest.approx(0.7)
    # Forward searches come first, without gradient, each around the box before it.
    assert len(net.searches) == 1 + net.templates[-1].shape[1]
    far = dataclasses.replace(config, centre_jitter=4.0, agree_above=0.99)
    loss, metrics = matching(NET, far)(Everywhere(), batch, generator(), 0.5)
    assert loss == 0 and metrics["agreed"] == 0


def test_labels_and_wrong_frames_of_the_future_are_not_needed() -> None:
    batch = squares(b=3, later=1)
    loss, _ = matching(NET, ObjectiveConfig(name="matching", tracked_from=0.0))(Everywhere(), batch, generator(), 0.9)
    assert torch.isfinite(loss)


def test_a_marked_template_says_which_pixels_are_the_targets() -> None:
    frames, boxes = torch.zeros(2, 3, 90, 120), torch.tensor([[20.0, 30.0, 40.0, 10.0], [60.0, 10.0, 12.0, 48.0]])
    marks = cut_templates(frames, boxes, NET)[:, 3]
    side = 2 * boxes[:, 2:].prod(-1).sqrt()
    expected = boxes[:, 2:] / side[:, None] * NET.template_size
    for mark, (width, height) in zip(marks, expected.tolist(), strict=True):
        assert mark.max() == 255 and mark.sum() / 255 == pytest.approx(width * min(height, NET.template_size), rel=0.02)
    plain = dataclasses.replace(NET, mark_target=False)
    assert cut_templates(frames, boxes, plain).shape[1] == plain.template_channels == 3
    region = square_region(boxes, 2.0)
    pictures = crop(frames, region, 48)
    assert torch.equal(with_target(pictures, to_region(boxes, region), plain), pictures)


def test_a_group_of_one_pastes_nothing() -> None:
    batch = squares(b=1, later=1)
    one = ClipBatch(batch.frames, batch.sizes, batch.seeds, batch.clip_ids, batch.boxes)
    loss, metrics = matching(NET, ObjectiveConfig(name="matching"))(Everywhere(), one, generator(), 0.1)
    assert torch.isfinite(loss) and torch.isnan(metrics["pasted_iou"])
