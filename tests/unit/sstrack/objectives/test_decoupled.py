"""The decoupled objective's parts: forward tracking, memory, curriculum, copy-paste, views, named options."""

import pytest
import torch
from torch import Generator, Tensor

from sstrack.boxes import iou
from sstrack.configs.objective import ObjectiveConfig, published
from sstrack.configs.recipe import Recipe
from sstrack.crops import to_region
from sstrack.models.head import HeadMaps
from sstrack.models.tracker_net import NetOutput, TrackerNet
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.copy_paste import PastedClips, copy_paste
from sstrack.objectives.decoupled import decoupled, track_forward
from sstrack.objectives.schedule import elimination_share, teaching_share
from sstrack.objectives.views import search_view
from sstrack.recipes import recipe
from tests.moving_squares import squares


@pytest.fixture(scope="module")
def small() -> Recipe:
    return recipe("tiny_cpu", {"net.depth": 1, "net.width": 32, "net.heads": 2, "net.head_width": 16})


class Oracle(TrackerNet):
    """Answers with known boxes (normalised to the region) in turn, its score as told, whatever it sees."""

    def __init__(self, built: Recipe, answers: list[Tensor], score: Tensor) -> None:
        super().__init__(built.net)
        self.answers, self.told, self.queries = list(answers), score, []

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, templates: Tensor, search: Tensor, query: Tensor | None = None, eliminate: float = 1.0
    ) -> NetOutput:
        self.queries.append(query)
        box, b, side = self.answers.pop(0), len(search), self.cells
        centre = (box[:, :2] + box[:, 2:] / 2) * side
        cell = centre.long().clamp(0, side - 1)
        rows = torch.arange(b)
        score, offset = torch.full((b, side, side), 1e-4), torch.zeros(b, 2, side, side)
        score[rows, cell[:, 1], cell[:, 0]] = self.told
        offset[rows, :, cell[:, 1], cell[:, 0]] = centre - cell
        size = box[:, 2:, None, None].expand(-1, -1, side, side)
        return NetOutput(HeadMaps(score, offset, size), torch.full((b, 32), float(len(self.queries))), search)


def pasted(batch: ClipBatch, share: float, config: ObjectiveConfig, seed: int = 2) -> PastedClips:
    return copy_paste(batch, share, 48, config, Generator().manual_seed(seed))


def forward(built: Recipe, score: list[float], teach: float = 0.0, share: float = 0.0, **options: object):
    """Forward tracking by an oracle that is right about the moving squares."""
    batch = squares(labelled=True)
    config = recipe("tiny_cpu", {f"objective.{k}": v for k, v in options.items()}).objective
    truth = batch.boxes[:, 1:] / 100
    net = Oracle(built, [truth[:, 0], truth[:, 1]], torch.tensor(score))
    memory, metrics = track_forward(
        net, pasted(batch, share, config), built.net, config, Generator().manual_seed(1), teach
    )
    return net, memory, metrics


def test_forward_tracking_gives_memory_of_each_later_frame_and_no_gradient(small: Recipe) -> None:
    net, batch, config = TrackerNet(small.net), squares(), small.objective
    memory, metrics = track_forward(net, pasted(batch, 0, config), small.net, config, Generator().manual_seed(1), 0.0)
    assert memory.templates.shape == (4, 2, 3, 48, 48) and not memory.templates.requires_grad
    assert memory.query is not None and memory.query.shape == (4, 32) and not memory.query.requires_grad
    assert metrics["known_templates"] == 0 and metrics["forward_iou"].isnan()


def test_right_predictions_are_measured_against_labels_and_cut_out_the_target(small: Recipe) -> None:
    _, memory, metrics = forward(small, [0.9] * 4, view_changes="")
    assert metrics["forward_iou"] == pytest.approx(1, abs=1e-5) and metrics["labelled_iou"] == metrics["forward_iou"]
    assert metrics["forward_score"] == pytest.approx(0.9)
    assert memory.templates[:, :, :, 20:28, 20:28].mean() > 150


def test_the_query_is_fresh_for_each_sample_and_travels_only_where_it_should(small: Recipe) -> None:
    carried, memory, _ = forward(small, [0.9] * 4)
    assert carried.queries[0] is None and carried.queries[1] is not None and memory.query is not None
    fresh, memory, _ = forward(small, [0.9] * 4, carry_query=False)
    assert fresh.queries == [None, None] and memory.query is None


def test_the_first_template_joins_the_memory_only_where_asked(small: Recipe) -> None:
    assert forward(small, [0.9] * 4)[1].templates.shape[1] == 2
    assert forward(small, [0.9] * 4, memory_first=True)[1].templates.shape[1] == 3


def test_samples_count_by_score_or_not_at_all_below_the_threshold(small: Recipe) -> None:
    scores = [0.9, 0.2, 0.5, 0.1]
    assert forward(small, scores)[1].weights.tolist() == [1, 1, 1, 1]
    assert forward(small, scores, sample_weight="score")[1].weights.tolist() == pytest.approx(scores)
    _, memory, metrics = forward(small, scores, score_threshold=0.3)
    assert memory.weights.tolist() == [1, 0, 1, 0] and metrics["kept_samples"] == 0.5


def test_taught_samples_count_whole_and_take_no_label_for_a_known_box(small: Recipe) -> None:
    _, memory, metrics = forward(small, [0.1] * 4, teach=1.0, share=0.5, score_threshold=0.3)
    # Labels are there for all; only the pasted half may be cut at boxes that are known.
    assert metrics["known_templates"] == 0.5 and sorted(memory.weights.tolist()) == [0, 0, 1, 1]


def test_below_every_threshold_the_localisation_terms_are_zero_and_finite(small: Recipe) -> None:
    config = recipe("tiny_cpu", {"objective.score_threshold": 1.0, "objective.contrastive_weight": 0}).objective
    net = TrackerNet(small.net)
    loss, metrics = decoupled(small.net, config)(net, squares(), Generator().manual_seed(3), 1.0)
    loss.backward()
    assert loss == 0 and metrics["kept_samples"] == 0
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("views", [1, 2, 3])
def test_any_number_of_views_and_the_published_masks_train(small: Recipe, views: int) -> None:
    config = published(views=views, contrast_mask="published")
    loss, metrics = decoupled(small.net, config)(TrackerNet(small.net), squares(), Generator().manual_seed(3), 0.2)
    assert torch.isfinite(loss) and ("contrastive" in metrics) == (views > 1)
    assert 0 <= metrics["empty_masks"] <= 1


def test_features_of_a_group_are_those_its_loss_compares(small: Recipe) -> None:
    net, objective = TrackerNet(small.net), decoupled(small.net, small.objective)
    features = objective.features(net, squares(), Generator().manual_seed(3), 0.5)
    assert features.shape == (8, 32) and not features.requires_grad
    alone, _ = objective(net, squares(), Generator().manual_seed(3), 0.5)
    wider, _ = objective(net, squares(), Generator().manual_seed(3), 0.5, negatives=torch.randn(12, 32))
    assert wider > alone


def test_the_curriculum_starts_at_known_boxes_and_ends_at_predictions() -> None:
    config = ObjectiveConfig(known_templates_until=0.8)
    shares = [teaching_share(progress, config) for progress in (0.0, 0.4, 0.6, 0.8, 1.0)]
    assert shares == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])
    assert teaching_share(0.0, published()) == 0.0


def test_elimination_follows_the_published_epochs() -> None:
    kept = [1 - 0.3 * elimination_share(epoch / 150, ObjectiveConfig()) for epoch in (0, 20, 40, 60, 80, 100, 150)]
    assert kept == pytest.approx([1, 1, 0.956, 0.85, 0.744, 0.7, 0.7], abs=5e-4)


def test_pasted_targets_are_where_their_boxes_say() -> None:
    config = ObjectiveConfig(paste_distractors=0, paste_scale=0.0, paste_changes="")
    clips = pasted(squares(), 1.0, config)
    assert clips.pasted.all() and torch.isfinite(clips.boxes).all()
    for i in range(4):
        for t in range(3):
            x, y, w, h = (int(value) for value in clips.boxes[i, t])
            middle = clips.frames[i, t, :, y + h // 3 : y + 2 * h // 3, x + w // 3 : x + 2 * w // 3]
            assert middle.mean() > 150


@pytest.mark.parametrize("changes", ["", "shear:1", "rotate:1", "flip:1,scale:1,motion_blur:1"])
def test_pasted_pixels_stay_inside_their_boxes(changes: str) -> None:
    """Bright targets on black frames: nothing bright outside the box, and the box no larger than what it holds."""
    batch = squares()
    dark = ClipBatch(batch.frames * (batch.frames > 110), batch.sizes, batch.seeds, batch.clip_ids, batch.boxes)
    hosts = ClipBatch(dark.frames.clone(), dark.sizes, dark.seeds, dark.clip_ids, dark.boxes)
    hosts.frames[:, 1:] = 0
    config = ObjectiveConfig(paste_distractors=0, paste_changes=changes, paste_shape="rectangle")
    clips = pasted(hosts, 1.0, config)
    for t in (1, 2):
        for frame, (x, y, w, h) in zip(clips.frames[:, t], clips.boxes[:, t].tolist(), strict=True):
            rows, columns = torch.nonzero(frame.amax(0) > 40, as_tuple=True)
            seen = [columns.min(), rows.min(), columns.max() + 1 - columns.min(), rows.max() + 1 - rows.min()]
            assert iou(torch.tensor(seen, dtype=torch.float32), torch.tensor([x, y, w, h])) > 0.7
            assert columns.min() >= x - 2 and columns.max() <= x + w + 2
            assert rows.min() >= y - 2 and rows.max() <= y + h + 2


def test_native_pastes_keep_their_donors_size() -> None:
    config = ObjectiveConfig(paste_size="native", paste_scale=0.0, paste_changes="", paste_shape="rectangle")
    assert torch.allclose(pasted(squares(), 1.0, config).boxes[..., 2:], torch.tensor([24.0, 20.0]))


@pytest.mark.parametrize(("share", "counts"), [(0.0, {0}), (0.5, {2}), (0.6, {2, 3}), (1.0, {4})])
def test_the_share_of_pasted_samples_is_kept_by_every_group(share: float, counts: set[int]) -> None:
    found = {int(pasted(squares(), share, ObjectiveConfig(), seed).pasted.sum()) for seed in range(0, 10_007, 1000)}
    assert found == counts


def test_samples_without_a_pasted_target_keep_pictures_and_labels() -> None:
    batch = squares(labelled=True)
    clips = pasted(batch, 0.0, ObjectiveConfig())
    assert torch.equal(clips.frames, batch.frames.float()) and not clips.pasted.any()
    assert torch.equal(clips.boxes, batch.boxes)


def test_a_view_shows_its_target_where_it_says(small: Recipe) -> None:
    batch = squares(b=16)
    config = ObjectiveConfig(view_changes="flip,shear:0.5,scale:0.5")
    view, target = search_view(batch.frames[:, 0].float(), batch.seeds, small.net, config, Generator().manual_seed(5))
    centre = target[:, :2] + target[:, 2:] / 2
    assert ((centre >= 0) & (centre <= 1)).all()
    inside = ((centre > 0.02) & (centre < 0.98)).all(1)
    assert inside.sum() > 10
    for picture, (x, y) in zip(view[inside], (centre[inside] * 96).long().tolist(), strict=True):
        assert picture[:, y, x].mean() > 100


def test_view_targets_follow_the_region_mapping(small: Recipe) -> None:
    batch = squares(b=1)
    config = ObjectiveConfig(view_changes="", centre_jitter=0.0, scale_jitter=0.0)
    _, target = search_view(batch.frames[:, 0].float(), batch.seeds, small.net, config, Generator())
    side = (24.0 * 20.0) ** 0.5 * 4
    region = torch.tensor([[32 - side / 2, 20 - side / 2, side, side]])
    torch.testing.assert_close(target, to_region(batch.seeds, region))
