"""What every registered objective owes: a finite loss, gradients everywhere, one answer per seed, no memory."""

import pytest
import torch
from torch import Generator, nn

from sstrack import crops
from sstrack.configs.names import OBJECTIVES, parse_changes
from sstrack.configs.recipe import Recipe
from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.pictures import KNOWN, training_picture
from sstrack.objectives.registry import build_objective
from sstrack.recipes import recipe
from tests import seams
from tests.moving_squares import squares

SMALL = {"net.depth": 1, "net.width": 32, "net.heads": 2, "net.head_width": 16}


def small(name: str, **changes: object) -> Recipe:
    return recipe("tiny_cpu", {**SMALL, "objective.name": name, **{f"objective.{k}": v for k, v in changes.items()}})


def net_of(built: Recipe) -> TrackerNet:
    torch.manual_seed(0)
    return TrackerNet(built.net)


def run(built: Recipe, net: nn.Module, batch: ClipBatch, seed: int = 3, progress: float = 0.7):
    return build_objective(built.net, built.objective)(net, batch, Generator().manual_seed(seed), progress)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("labelled", [True, False])
def test_loss_and_named_metrics_are_finite_where_they_could_be_measured(name: str, labelled: bool) -> None:
    built = small(name)
    loss, metrics = run(built, net_of(built), squares(labelled=labelled))
    assert loss.shape == () and torch.isfinite(loss)
    assert {"loss", "giou", "l1", "focal"} <= set(metrics) and {"search_iou", "backward_iou"} & set(metrics)
    assert all(value.shape == () and not value.requires_grad for value in metrics.values())
    unmeasured = {key for key, value in metrics.items() if not torch.isfinite(value)}
    only_with_labels = {"giou", "l1", "focal", "search_iou"} if name == "supervised" else {"forward_iou"}
    unmeasured -= {"pasted_iou", "self_iou", "tracked_iou", "agreed", "forward_score"}  # of kinds this group has not
    assert unmeasured <= (set() if labelled else {"labelled_iou"} | only_with_labels)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_reach_every_trained_parameter(name: str) -> None:
    built = small(name)
    net = net_of(built)
    run(built, net, squares(b=8, labelled=True))[0].backward()
    assert [key for key, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_seed_gives_one_loss_and_another_seed_another(name: str) -> None:
    built = small(name)
    net = net_of(built)
    first, again, other = (run(built, net, squares(labelled=True), seed)[0] for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_groups_loss_does_not_depend_on_groups_before_it_and_leaves_its_batch_alone(name: str) -> None:
    built = small(name)
    net, batch, other = net_of(built), squares(labelled=True), squares(b=3, labelled=True)
    objective = build_objective(built.net, built.objective)
    kept = batch.frames.clone(), batch.boxes.clone(), batch.seeds.clone()
    alone = objective(net, batch, Generator().manual_seed(3), 0.5)[0]
    objective(net, other, Generator().manual_seed(5), 0.5)
    assert torch.equal(alone, objective(net, batch, Generator().manual_seed(3), 0.5)[0])
    assert all(torch.equal(a, b) for a, b in zip(kept, (batch.frames, batch.boxes, batch.seeds), strict=True))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_few_steps_lower_the_loss(name: str) -> None:
    built = small(name, known_templates_until=0.0)
    net = net_of(built)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses: list[float] = []
    for step in range(25):
        loss, _ = run(built, net, squares(labelled=True), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.85 * sum(losses[:5])


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"supervised"}))
def test_labels_change_no_gradient_of_a_self_supervised_objective(name: str) -> None:
    built = small(name)
    net = net_of(built)
    assert torch.equal(run(built, net, squares(labelled=True))[0], run(built, net, squares())[0])


class Watched(TrackerNet):
    """Notes how much elimination it is asked for."""

    asked: set[float]

    def forward(self, templates_BTCHW, search_BCHW, query_BC=None, eliminate=1.0):
        self.asked.add(eliminate)
        return super().forward(templates_BTCHW, search_BCHW, query_BC, eliminate)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_candidate_elimination_follows_its_schedule_in_every_pass(name: str) -> None:
    built = recipe("tiny_cpu", {**SMALL, "net.depth": 4, "net.keep_ratio": 0.7, "objective.name": name})
    net = Watched(built.net)
    for progress, share in ((0.0, 0.0), (0.4, 0.5), (0.9, 1.0)):
        net.asked = set()
        assert torch.isfinite(run(built, net, squares(labelled=True), progress=progress)[0])
        assert list(net.asked) == pytest.approx([share])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_objective_asks_the_device_for_numbers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each such question stops the queue; here, reading a tensor's value anywhere but in crops is an error."""
    built = small(name)
    net, batch = net_of(built), squares(labelled=True)
    objective = build_objective(built.net, built.objective)
    generator = Generator().manual_seed(3)

    def refuse(*_: object) -> None:
        raise AssertionError("a tensor's value was read")

    # The CPU's crops look at their windows; here they take the way that crops take on a GPU.
    monkeypatch.setattr(seams.CROP_BY_TAPS, lambda *given: crops._crop_by_matrices(*given, dtype=torch.float32))
    for reader in ("__bool__", "__float__", "__int__", "item", "tolist", "nonzero", "numpy", "__index__"):
        monkeypatch.setattr(torch.Tensor, reader, refuse)
    objective(net, batch, generator, 0.7)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "decoupeld", "did you mean decoupled"),
        ("name", "zzz", "known: cycle, decoupled, matching, single_frame, supervised, tads"),
        ("view_changes", "flipp", "did you mean flip"),
        ("view_changes", "flip,flip", "appears twice"),
        ("paste_changes", "flip:2", "must lie in 0..1"),
        ("paste_changes", "flip:often", "name or name:chance"),
        ("eliminate_until", 0.05, "above eliminate_from"),
        ("views", 0, "must lie in 1..8"),
        ("negatives", "all", "must be one of group, all_groups"),
    ],
)
def test_wrong_names_and_values_say_what_is_near(field: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        recipe("tiny_cpu", {f"objective.{field}": value})


def test_changes_are_read_with_and_without_chances() -> None:
    assert parse_changes(" flip, motion_blur:0.25 ,") == (("flip", 0.5), ("motion_blur", 0.25))
    assert parse_changes("") == ()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_shown_is_what_the_loss_is_taken_from(name: str) -> None:
    built = small(name)
    net, batch = net_of(built), squares(labelled=True)
    metrics = run(built, net, batch)[1]
    shown = build_objective(built.net, built.objective).shown(net, batch, Generator().manual_seed(3), 0.7)
    overlap = torch.stack([found.iou for found in shown.found]).mean()
    # 1e-6: a mean may be taken as a sum over a count.
    assert float(overlap) == pytest.approx(
        float(metrics["search_iou" if "search_iou" in metrics else "backward_iou"]), abs=1e-6
    )
    assert all(mask.shape == (4, net.cells, net.cells) and mask.sum() >= 4 for mask in shown.masks)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_picture_has_a_row_per_sample_and_shows_where_the_target_starts(name: str) -> None:
    built = small(name)
    picture = training_picture(
        net_of(built), build_objective(built.net, built.objective), squares(), Generator().manual_seed(3), 0.7, 3, 64
    )
    assert picture.pixels.shape == (3 * 64, len(picture.columns) * 64, 3)
    assert picture.columns[0] == "first frame" and {"template 1", "search 1", "score"} <= set(picture.columns)
    assert [len(notes) for notes in picture.notes] == [len(picture.columns)] * 3
    if name not in ("decoupled", "matching", "tads"):  # these paste other targets in
        # 100 pixels become 64: the box 20, 10, 24, 20 has its corner at 13, 6.
        assert (picture.pixels[6, 13:28, :] == KNOWN).all() and (picture.pixels[6:19, 13, :] == KNOWN).all()


def test_a_target_without_a_label_is_not_drawn() -> None:
    built = small("supervised")
    objective = build_objective(built.net, built.objective)
    batch = squares(labelled=False)
    shown = objective.shown(net_of(built), batch, Generator().manual_seed(3), 0.7)
    assert all(found.target.isnan().all() for found in shown.found)
    picture = training_picture(net_of(built), objective, batch, Generator().manual_seed(3), 0.7, 2, 64)
    column = picture.columns.index("search 1") * 64
    assert not (picture.pixels[:, column : column + 64] == KNOWN).all(-1).any()
