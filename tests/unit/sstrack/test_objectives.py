"""The decoupled objective and its parts on small groups of moving squares."""

import pytest
import torch
from torch import Tensor

from sstrack.crops import to_region
from sstrack.models.head import HeadMaps
from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.contrastive import box_mask, masked_mean, nt_xent
from sstrack.objectives.copy_paste import copy_paste
from sstrack.objectives.decoupled import decoupled, teaching_share, track_forward
from sstrack.objectives.losses import focal_loss, gaussian_map, localise
from sstrack.objectives.views import first_frame_view
from sstrack.recipes import ObjectiveConfig, Recipe, recipe


@pytest.fixture(scope="module")
def small() -> Recipe:
    return recipe("tiny_cpu", {"net.depth": 1, "net.width": 32, "net.heads": 2, "net.head_width": 16})


def squares(b: int = 4, later: int = 2) -> ClipBatch:
    """Clips in which a bright textured square moves over noise; the seed is its true box."""
    generator = torch.Generator().manual_seed(7)
    frames = torch.randint(0, 90, (b, 1 + later, 3, 80, 100), generator=generator, dtype=torch.uint8)
    texture = torch.randint(120, 255, (b, 3, 20, 24), generator=generator, dtype=torch.uint8)
    for t in range(1 + later):
        frames[:, t, :, 10 + 8 * t : 30 + 8 * t, 20 + 10 * t : 44 + 10 * t] = texture
    seeds = torch.tensor([[20.0, 10.0, 24.0, 20.0]]).repeat(b, 1)
    return ClipBatch(frames, torch.tensor([[100.0, 80.0]]).repeat(b, 1), seeds, tuple(f"clip{i}" for i in range(b)))


def test_loss_and_metrics_are_finite_and_the_same_for_the_same_generator(small: Recipe) -> None:
    net, objective = TrackerNet(small.net), decoupled(small.net, small.objective)
    first, metrics = objective(net, squares(), torch.Generator().manual_seed(3), 0.7)
    again, _ = objective(net, squares(), torch.Generator().manual_seed(3), 0.7)
    other, _ = objective(net, squares(), torch.Generator().manual_seed(4), 0.7)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert {"loss", "giou", "l1", "focal", "contrastive", "backward_iou", "known_templates"} <= set(metrics)
    assert all(torch.isfinite(value) for value in metrics.values())


def test_gradients_reach_the_whole_network(small: Recipe) -> None:
    net = TrackerNet(small.net)
    decoupled(small.net, small.objective)(net, squares(), torch.Generator().manual_seed(3), 0.5)[0].backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_forward_tracking_gives_memory_of_each_later_frame_and_no_gradient(small: Recipe) -> None:
    net, batch, config = TrackerNet(small.net), squares(), small.objective
    clips = copy_paste(batch.frames.float(), batch.sizes, batch.seeds, 0.0, config, torch.Generator().manual_seed(1))
    memory, query, metrics = track_forward(
        net, clips, batch.sizes, small.net, config, torch.Generator().manual_seed(1), 0.0
    )
    assert memory.shape == (4, 2, 3, 48, 48) and query.shape == (4, 32)
    assert not memory.requires_grad and not query.requires_grad
    assert metrics["known_templates"] == 0 and "forward_iou" not in metrics


def test_a_few_steps_lower_the_loss(small: Recipe) -> None:
    torch.manual_seed(0)
    net, objective = TrackerNet(small.net), decoupled(small.net, small.objective)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses: list[float] = []
    for step in range(30):
        loss, _ = objective(net, squares(), torch.Generator().manual_seed(step), 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_the_curriculum_starts_at_known_boxes_and_ends_at_predictions() -> None:
    config = ObjectiveConfig(known_templates_until=0.8)
    shares = [teaching_share(progress, config) for progress in (0.0, 0.4, 0.6, 0.8, 1.0)]
    assert shares == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])
    assert teaching_share(0.0, ObjectiveConfig(known_templates_until=0.0)) == 0.0


def test_pasted_targets_are_where_their_boxes_say() -> None:
    batch, config = squares(), ObjectiveConfig(paste_distractors=0, paste_scale=0.0, brightness=0.0)
    clips = copy_paste(batch.frames.float(), batch.sizes, batch.seeds, 1.0, config, torch.Generator().manual_seed(2))
    assert clips.pasted.all() and torch.isfinite(clips.boxes).all()
    for i in range(4):
        for t in range(3):
            x, y, w, h = (int(value) for value in clips.boxes[i, t])
            middle = clips.frames[i, t, :, y + h // 3 : y + 2 * h // 3, x + w // 3 : x + 2 * w // 3]
            assert middle.mean() > 150


def test_samples_without_a_pasted_target_keep_their_pictures() -> None:
    batch = squares()
    clips = copy_paste(
        batch.frames.float(), batch.sizes, batch.seeds, 0.0, ObjectiveConfig(), torch.Generator().manual_seed(2)
    )
    assert torch.equal(clips.frames, batch.frames.float()) and not clips.pasted.any()
    assert torch.equal(clips.boxes[:, 0], batch.seeds) and clips.boxes[:, 1:].isnan().all()


def test_a_view_shows_its_target_where_it_says(small: Recipe) -> None:
    batch = squares(b=16)
    config = ObjectiveConfig(grayscale=0.0, brightness=0.0)
    view, target = first_frame_view(
        batch.frames[:, 0].float(), batch.seeds, small.net, config, torch.Generator().manual_seed(5)
    )
    centre = target[:, :2] + target[:, 2:] / 2
    assert ((centre > 0) & (centre < 1)).all()
    for picture, (x, y) in zip(view, (centre * 96).long().tolist(), strict=True):
        assert picture[:, y, x].mean() > 110


def head_maps(box: Tensor, side: int = 12) -> HeadMaps:
    """Maps of a head that predicts `box` (normalised xywh `[4]`) at its centre's cell without a doubt."""
    centre = (box[:2] + box[2:] / 2) * side
    x, y = centre.long().tolist()
    score = torch.full((1, side, side), 1e-4)
    score[0, y, x] = 1 - 1e-4
    offset, size = torch.zeros(1, 2, side, side), torch.full((1, 2, side, side), 0.5)
    offset[0, :, y, x], size[0, :, y, x] = centre - torch.tensor([x, y]), box[2:]
    return HeadMaps(score, offset, size)


@pytest.mark.parametrize("box_at", ["predicted", "target"])
def test_a_right_answer_costs_nothing(box_at: str) -> None:
    box = torch.tensor([0.3, 0.41, 0.2, 0.25])
    found = localise(head_maps(box), box[None], ObjectiveConfig(box_at=box_at))  # pyright: ignore[reportArgumentType]
    assert found.giou == pytest.approx(0, abs=1e-5) and found.l1 == pytest.approx(0, abs=1e-6)
    assert found.focal == pytest.approx(0, abs=1e-3) and found.iou == pytest.approx(1)


def test_a_wrong_cell_costs_focal_loss() -> None:
    heat = gaussian_map(torch.tensor([[0.3, 0.4, 0.2, 0.2]]), 12)
    assert heat.max() == 1 and (heat == 1).sum() == 1
    right = torch.where(heat == 1, 0.99, 0.01)
    wrong = torch.full_like(heat, 0.01)
    wrong[0, 0, 0] = 0.99
    assert focal_loss(wrong, heat) > 100 * focal_loss(right, heat)


def test_a_mask_covers_the_boxs_cells_and_at_least_its_centre() -> None:
    mask = box_mask(torch.tensor([[0.25, 0.5, 0.5, 0.25], [0.51, 0.51, 0.01, 0.01]]), 4)
    assert mask[0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert mask[1].sum() == 1 and mask[1, 2, 2] == 1


def test_masked_means_see_only_their_box() -> None:
    tokens = torch.zeros(1, 16, 2)
    tokens[0, 9] = tokens[0, 10] = torch.tensor([1.0, 3.0])
    assert masked_mean(tokens, torch.tensor([[0.25, 0.5, 0.5, 0.25]])).tolist() == [[1.0, 3.0]]


def test_nt_xent_is_low_for_pairs_that_agree_and_high_for_pairs_that_do_not() -> None:
    features = torch.eye(6)
    agree, accuracy = nt_xent(features, features, 0.1)
    disagree, none = nt_xent(features, features.roll(1, 0), 0.1)
    assert agree < 0.01 < disagree and accuracy == 1 and none == 0


def test_nt_xent_equals_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(3, 5, generator=generator), torch.randn(3, 5, generator=generator)
    features = torch.nn.functional.normalize(torch.cat((first, second)), dim=-1)
    terms = []
    for i in range(6):
        similar = torch.exp(features @ features[i] / 0.5)
        terms.append(-torch.log(similar[(i + 3) % 6] / (similar.sum() - similar[i])))
    torch.testing.assert_close(nt_xent(first, second, 0.5)[0], torch.stack(terms).mean())


def test_view_targets_follow_the_region_mapping(small: Recipe) -> None:
    batch = squares(b=1)
    config = ObjectiveConfig(flip=0.0, centre_jitter=0.0, scale_jitter=0.0)
    _, target = first_frame_view(batch.frames[:, 0].float(), batch.seeds, small.net, config, torch.Generator())
    side = (24.0 * 20.0) ** 0.5 * 4
    region = torch.tensor([[32 - side / 2, 20 - side / 2, side, side]])
    torch.testing.assert_close(target, to_region(batch.seeds, region))
