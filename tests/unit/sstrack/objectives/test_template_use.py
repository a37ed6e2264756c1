"""The measure of template use: high for a network that matches its template, nothing for one that does not look."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sstrack.boxes import xywh_to_cxcywh
from sstrack.configs.net import NetConfig
from sstrack.models.head import HeadMaps
from sstrack.models.tracker_net import NetOutput, TrackerNet
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.template_use import TemplateProbe, real_probe, render_probe, template_use, unused

NET = NetConfig(depth=1, width=24, heads=1, head_width=16)


@pytest.fixture(scope="module")
def group() -> ClipBatch:
    """Blotches of colour in frames with a margin of canvas around them."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand((6, 3, 16, 20), generator=generator) * 255
    frames = F.interpolate(coarse, (200, 240), mode="bilinear", align_corners=False)
    frames = F.pad(frames, (0, 20, 0, 10)).to(torch.uint8)[:, None].repeat(1, 2, 1, 1, 1)
    sizes, seeds = torch.tensor([[240.0, 200.0]]).repeat(6, 1), torch.tensor([[20.0, 10.0, 24.0, 20.0]]).repeat(6, 1)
    return ClipBatch(frames, sizes, seeds, tuple("abcdef"), torch.full((6, 2, 4), float("nan")))


@pytest.fixture(scope="module")
def probe(group: ClipBatch) -> TemplateProbe:
    return render_probe(group, NET, seed=5)


def maps_at(score: Tensor, share: float) -> HeadMaps:
    b, side, _ = score.shape
    return HeadMaps(score, torch.full((b, 2, side, side), 0.5), torch.full((b, 2, side, side), share))


class Matcher:
    """Finds the place whose pixels agree best with the template's: crops of both kinds have one scale."""

    def __call__(
        self, templates: Tensor, search: Tensor, query: Tensor | None = None, eliminate: float = 1.0
    ) -> NetOutput:
        picture, size = templates[:, 0, :, 12:36, 12:36], 24
        kernel = picture - picture.mean((2, 3), keepdim=True)
        tiles = F.unfold(F.pad(search, (8,) * 4), size, stride=8)
        tiles = tiles.unflatten(1, (3, -1))
        tiles = tiles - tiles.mean(2, keepdim=True)
        score = F.cosine_similarity(tiles.flatten(1, 2), kernel.flatten(1)[:, :, None], dim=1)
        side = int(score.shape[1] ** 0.5)
        return NetOutput(maps_at(score.view(-1, side, side), 0.25), search, search)


class Blind:
    """Looks at the search region alone: the brightest place is its answer."""

    def __call__(
        self, templates: Tensor, search: Tensor, query: Tensor | None = None, eliminate: float = 1.0
    ) -> NetOutput:
        return NetOutput(maps_at(F.avg_pool2d(search.mean(1), 8), 0.25), search, search)


def test_a_network_that_matches_its_template_leads_with_the_right_one(probe: TemplateProbe) -> None:
    use = template_use(Matcher(), probe)
    assert use["template_right"] > 0.3 and use["template_lead"] > 0.15
    assert use["template_foreign"] < 0.5 * use["template_right"]


def test_a_network_that_does_not_look_has_no_lead_at_all(probe: TemplateProbe) -> None:
    use = template_use(Blind(), probe)
    assert use["template_lead"] == 0 and use["template_right"] == use["template_zeroed"] == use["template_foreign"]


def test_targets_lie_in_their_regions_and_seldom_in_the_middle(probe: TemplateProbe) -> None:
    centre = xywh_to_cxcywh(probe.targets)[:, :2]
    assert ((centre > 0) & (centre < 1)).all()
    assert ((centre - 0.5).abs() < 0.05).all(1).float().mean() < 0.3


def test_the_same_seed_gives_the_same_probe_and_measuring_changes_nothing(
    group: ClipBatch, probe: TemplateProbe
) -> None:
    again = render_probe(group, NET, seed=5)
    assert torch.equal(probe.templates, again.templates) and torch.equal(probe.regions, again.regions)
    net = TrackerNet(NET).eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.random.get_rng_state()
    assert template_use(net, probe) == template_use(net, again)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_real_frames_give_a_probe_with_distractors_and_true_boxes(group: ClipBatch) -> None:
    """Blotches are matched by their pixels, if no change of size is in the way."""
    marked = NetConfig(depth=1, width=24, heads=1, head_width=16, mark_target=True)
    made, again = (real_probe(group, marked, seed=4) for _ in range(2))
    assert len(made.regions) == 18 and made.templates.shape[1] == 4 and made.kind == "real"
    assert torch.equal(made.templates, again.templates) and torch.equal(made.regions, again.regions)
    centre = xywh_to_cxcywh(made.targets)[:, :2]
    assert ((centre > 0) & (centre < 1)).all() and (made.targets[:, 2:] > 0.08).all()
    use = template_use(Blind(), made)
    assert set(use) == {"real_right", "real_zeroed", "real_foreign", "real_lead"} and use["real_lead"] == 0


def test_a_lead_under_a_tenth_is_said_in_words() -> None:
    assert unused(0.3) == "" and "leads by 0.03 on real frames, under 0.1" in unused(0.03)
