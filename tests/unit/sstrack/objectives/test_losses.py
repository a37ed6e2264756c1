"""Loss terms against slow, plain float64 implementations written from their definitions, cell by cell."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from sstrack.configs.objective import ObjectiveConfig
from sstrack.models.head import HeadMaps
from sstrack.objectives.contrastive import box_mask, instance_contrast, masked_mean
from sstrack.objectives.losses import focal_loss, gaussian_map, localise

TOLERANCE = 1e-5
SIDE = 12

Corners = tuple[float, float, float, float]

side = st.floats(0.02, 0.9)
centre = st.floats(0.01, 0.99)


def assume_off_the_edges(cx: float, cy: float, w: float, h: float) -> None:
    """Leave out boxes whose centre or border lies on a cell's edge or middle: rounding decides there."""
    for value in (cx, cy, cx - w / 2, cx + w / 2, cx + w, cy - h / 2, cy + h / 2, cy + h):
        assume(abs(value * SIDE * 2 - round(value * SIDE * 2)) > 1e-6)


def corners_of(box: list[float]) -> Corners:
    x, y, w, h = box
    return x, y, x + w, y + h


def plain_iou_giou(a: Corners, b: Corners) -> tuple[float, float]:
    """Rezatofighi et al. 2019, algorithm 1."""
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    inner_w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    inner_h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = area_a + area_b - inner_w * inner_h
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    overlap = inner_w * inner_h / union
    return overlap, overlap - (hull - union) / hull


def plain_radius(width: float, height: float) -> float:
    """CornerNet's first case as its code has it: no division by 2a, which is 2 here only by luck of a = 1."""
    b = width + height
    c = width * height * (1 - 0.7) / (1 + 0.7)
    return (b - math.sqrt(b * b - 4 * c)) / 2


def plain_heat(box: list[float]) -> list[list[float]]:
    """CenterNet's target: a Gaussian of deviation diameter / 6 around the cell of the centre."""
    column, row = math.floor((box[0] + box[2] / 2) * SIDE), math.floor((box[1] + box[3] / 2) * SIDE)
    deviation = (2 * math.floor(plain_radius(box[2] * SIDE, box[3] * SIDE)) + 1) / 6
    return [
        [math.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * deviation**2)) for x in range(SIDE)] for y in range(SIDE)
    ]


def plain_focal(score: list[list[float]], heat: list[list[float]]) -> float:
    total, positives = 0.0, 0
    for row_s, row_h in zip(score, heat, strict=True):
        for s, h in zip(row_s, row_h, strict=True):
            if h == 1.0:
                positives += 1
                total -= (1 - s) ** 2 * math.log(s)
            else:
                total -= (1 - h) ** 4 * s**2 * math.log(1 - s)
    return total / positives


def random_maps(seed: int, b: int) -> HeadMaps:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(b, *shape, SIDE, SIDE, generator=generator, dtype=torch.float64)

    return HeadMaps(draw().clamp(1e-4, 1 - 1e-4), draw(2), draw(2).clamp(1e-4, 1 - 1e-4))


def plain_box(maps: HeadMaps, i: int, row: int, column: int) -> Corners:
    cx = (column + float(maps.offset[i, 0, row, column])) / SIDE
    cy = (row + float(maps.offset[i, 1, row, column])) / SIDE
    w, h = float(maps.size[i, 0, row, column]), float(maps.size[i, 1, row, column])
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


@given(
    seed=st.integers(0, 10_000), cx=centre, cy=centre, w=side, h=side, box_at=st.sampled_from(["target", "predicted"])
)
def test_localisation_terms_equal_their_definitions(
    seed: int, cx: float, cy: float, w: float, h: float, box_at: str
) -> None:
    assume_off_the_edges(cx, cy, w, h)
    boxes = [[cx - w / 2, cy - h / 2, w, h], [0.3, 0.2, 0.25, 0.4]]
    maps, config = random_maps(seed, 2), ObjectiveConfig(box_at=box_at)  # pyright: ignore[reportArgumentType]
    found = localise(maps, torch.tensor(boxes, dtype=torch.float64), config)
    totals = []
    for i, box in enumerate(boxes):
        scores = maps.score[i].tolist()
        best = max(range(SIDE * SIDE), key=lambda cell: scores[cell // SIDE][cell % SIDE])
        x1, y1, x2, y2 = (min(max(value, 0.0), 1.0) for value in corners_of(box))
        target = (x1, y1, x2, y2)
        row, column = best // SIDE, best % SIDE
        overlap = plain_iou_giou(plain_box(maps, i, row, column), target)[0]
        if box_at == "target":
            row, column = int((box[1] + box[3] / 2) * SIDE), int((box[0] + box[2] / 2) * SIDE)
        answer = plain_box(maps, i, row, column)
        giou = 1 - plain_iou_giou(answer, target)[1]
        l1 = sum(abs(a - b) for a, b in zip(answer, target, strict=True)) / 4
        focal = plain_focal(scores, plain_heat(box))
        assert float(found.giou[i]) == pytest.approx(giou, abs=TOLERANCE)
        assert float(found.l1[i]) == pytest.approx(l1, abs=TOLERANCE)
        assert float(found.focal[i]) == pytest.approx(focal, rel=TOLERANCE)
        assert float(found.iou[i]) == pytest.approx(overlap, abs=TOLERANCE)
        totals.append(2 * giou + 5 * l1 + focal)
    assert float(found.total(config)) == pytest.approx(sum(totals) / 2, rel=TOLERANCE)
    weighted = found.total(config, torch.tensor([3.0, 1.0], dtype=torch.float64))
    assert float(weighted) == pytest.approx((3 * totals[0] + totals[1]) / 4, rel=TOLERANCE)


def plain_mask(box: list[float], rule: str) -> list[tuple[int, int]]:
    """(row, column) of the cells that show the target."""
    x1, y1, x2, y2 = (value * SIDE for value in corners_of(box))
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    cells = [(row, column) for row in range(SIDE) for column in range(SIDE)]
    if rule == "published":
        columns = range(int(cx), int(cx + (x2 - x1) - 1))
        rows = range(int(cy), int(cy + (y2 - y1) - 1))
        return [(row, column) for row, column in cells if row in rows and column in columns]
    middle = min(max(int(cx), 0), SIDE - 1), min(max(int(cy), 0), SIDE - 1)
    inside_x = {c for c in range(SIDE) if x1 < c + 0.5 < x2} | {middle[0]}
    inside_y = {r for r in range(SIDE) if y1 < r + 0.5 < y2} | {middle[1]}
    return [(row, column) for row, column in cells if row in inside_y and column in inside_x]


@pytest.mark.parametrize("rule", ["box", "published"])
@given(cx=centre, cy=centre, w=side, h=side)
def test_masks_and_masked_means_equal_their_definitions(rule: str, cx: float, cy: float, w: float, h: float) -> None:
    assume_off_the_edges(cx, cy, w, h)
    box = [cx - w / 2, cy - h / 2, w, h]
    tokens = torch.rand(1, SIDE * SIDE, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mask, empty = box_mask(torch.tensor([box], dtype=torch.float64), SIDE, rule)  # pyright: ignore[reportArgumentType]
    cells = plain_mask(box, rule)
    assert {tuple(cell) for cell in torch.nonzero(mask[0]).tolist()} == set(cells)
    if rule == "published":
        assert bool(empty[0]) == (not cells)
    rows = [tokens[0, row * SIDE + column].tolist() for row, column in cells]
    mean = [sum(values) / len(rows) for values in zip(*rows, strict=True)] if rows else [0.0] * 3
    assert masked_mean(tokens, mask)[0].tolist() == pytest.approx(mean, abs=TOLERANCE)


def test_the_published_mask_lies_where_the_fact_sheet_says_and_misses_small_targets() -> None:
    mask, empty = box_mask(torch.tensor([[0.375, 0.375, 0.25, 0.25], [0.5, 0.5, 0.05, 0.05]]), 16, "published")
    assert torch.nonzero(mask[0].any(0))[:, 0].tolist() == [8, 9, 10] and empty.tolist() == [False, True]
    mask, empty = box_mask(torch.tensor([[0.375, 0.375, 0.25, 0.25], [0.5, 0.5, 0.02, 0.02]]), 16)
    assert torch.nonzero(mask[0].any(0))[:, 0].tolist() == [6, 7, 8, 9]
    assert mask[1].sum() == 1 and mask[1, 8, 8] == 1 and empty.tolist() == [False, True]


def plain_contrast(features: list[list[list[float]]], temperature: float, valid: list[bool], more: list[list[float]]):
    """NT-Xent by its formula over the views `[V][B][C]` of valid instances; loss and accuracy."""

    def similar(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(x * x for x in b)) / temperature

    views = [(v, i) for v in range(len(features)) for i in range(len(features[0])) if valid[i]]
    terms, right = [], 0
    for v, i in views:
        here = features[v][i]
        against = [similar(here, features[u][j]) for u, j in views if j != i] + [similar(here, m) for m in more]
        partners = [similar(here, features[u][j]) for u, j in views if j == i and u != v]
        for partner in partners:
            terms.append(-math.log(math.exp(partner) / (math.exp(partner) + sum(map(math.exp, against)))))
        right += max(partners) > max(against)
    return sum(terms) / len(terms), right / len(views)


@given(
    seed=st.integers(0, 10_000),
    views=st.integers(2, 4),
    temperature=st.floats(0.05, 2.0),
    valid=st.lists(st.booleans(), min_size=4, max_size=4).filter(lambda flags: sum(flags) >= 2),
    more=st.integers(0, 3),
)
def test_the_contrastive_term_equals_its_formula(
    seed: int, views: int, temperature: float, valid: list[bool], more: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(views, 4, 5, generator=generator, dtype=torch.float64)
    others = torch.randn(more, 5, generator=generator, dtype=torch.float64)
    loss, accuracy = instance_contrast(features, temperature, torch.tensor(valid), others if more else None)
    expected, share = plain_contrast(features.tolist(), temperature, valid, others.tolist())
    assert float(loss) == pytest.approx(expected, abs=TOLERANCE) and float(accuracy) == pytest.approx(share)


def test_the_contrastive_term_without_instances_is_zero_with_a_finite_gradient() -> None:
    features = torch.randn(2, 3, 5, requires_grad=True)
    loss, accuracy = instance_contrast(features, 0.5, torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert (
        loss == 0
        and accuracy.isnan()
        and features.grad is not None
        and torch.equal(features.grad, torch.zeros_like(features))
    )


def test_the_contrastive_term_is_low_for_pairs_that_agree_and_high_for_pairs_that_do_not() -> None:
    features = torch.eye(6)
    agree, accuracy = instance_contrast(torch.stack((features, features)), 0.1)
    disagree, none = instance_contrast(torch.stack((features, features.roll(1, 0))), 0.1)
    assert agree < 0.01 < disagree and accuracy == 1 and none == 0


def test_other_groups_targets_get_no_gradient() -> None:
    features, others = torch.randn(2, 3, 5, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    instance_contrast(features, 0.5, negatives=others)[0].backward()
    assert others.grad is None and features.grad is not None and features.grad.abs().sum() > 0


def test_half_precision_maps_are_compared_in_float32() -> None:
    maps = random_maps(1, 2)
    half = HeadMaps(*(x.to(torch.bfloat16) for x in (maps.score.clamp(min=0.9999), maps.offset, maps.size)))
    found = localise(half, torch.tensor([[0.3, 0.2, 0.25, 0.4]] * 2), ObjectiveConfig())
    assert found.focal.dtype == torch.float32 and torch.isfinite(found.focal).all()


def test_a_wrong_cell_costs_focal_loss() -> None:
    heat = gaussian_map(torch.tensor([[0.3, 0.4, 0.2, 0.2]]), 12)
    assert heat.max() == 1 and (heat == 1).sum() == 1
    right = torch.where(heat == 1, 0.99, 0.01)
    wrong = torch.full_like(heat, 0.01)
    wrong[0, 0, 0] = 0.99
    assert focal_loss(wrong, heat) > 100 * focal_loss(right, heat)
