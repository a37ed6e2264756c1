"""Seeds by normalised cut: on features that are known, and on a real network's."""

import numpy as np
from numpy.typing import NDArray

from sstrack.boxes import iou
from sstrack.clips.clip import SeedBox
from sstrack.clips.saliency import salient_seeds
from sstrack.clips.seeds import merged

H, W = 12, 20


def features(*boxes: tuple[int, int, int, int], seed: int = 0) -> NDArray[np.float32]:
    """`[H, W, 16]`: the background looks one way, each box (xywh in patches) another, all with noise."""
    rng = np.random.default_rng(seed)
    kinds = np.linalg.qr(np.random.default_rng(9).normal(size=(16, 16)))[0]
    field = np.tile(kinds[0], (H, W, 1)) + 0.1 * rng.normal(size=(H, W, 16))
    for number, (x, y, w, h) in enumerate(boxes, 1):
        field[y : y + h, x : x + w] = kinds[number] + 0.1 * rng.normal(size=(h, w, 16))
    return (field / np.linalg.norm(field, axis=-1, keepdims=True)).astype(np.float32)


def overlap(seed: SeedBox, box: tuple[float, ...]) -> float:
    import torch

    return float(iou(torch.tensor([seed.box]), torch.tensor([box]))[0])


def test_two_things_unlike_the_background_are_the_first_two_seeds_in_pixels() -> None:
    found = salient_seeds(features((3, 4, 4, 5), (13, 2, 5, 3))[None], (320, 192))
    wanted = [(48.0, 64.0, 64.0, 80.0), (208.0, 32.0, 80.0, 48.0)]
    assert len(found) >= 2 and all(seed.source == "saliency" and 0 < seed.score <= 1 for seed in found)
    assert all(max(overlap(seed, box) for seed in found[:2]) > 0.9 for box in wanted), found
    assert [seed.score for seed in found] == sorted((seed.score for seed in found), reverse=True)


def test_what_the_next_frames_do_not_show_is_ranked_behind_what_they_show() -> None:
    first = features((3, 4, 4, 5), (13, 2, 5, 3))
    later = [features((3, 4, 4, 5), seed=1), features((3, 5, 4, 5), seed=2)]
    found = salient_seeds(np.stack([first, *later]), (20, 12))
    stays, goes = (
        next(seed.score for seed in found if overlap(seed, box) > 0.8) for box in ((3, 4, 4, 5), (13, 2, 5, 3))
    )
    assert stays > 1.3 * goes


def test_features_that_are_all_alike_give_no_error() -> None:
    assert len(salient_seeds(features()[None], (320, 192))) <= 5


def test_seeds_of_two_finders_that_agree_come_first() -> None:
    moving = [SeedBox((0, 0, 10, 10), 0.6, "motion"), SeedBox((50, 50, 10, 10), 0.5, "motion")]
    salient = [SeedBox((51, 50, 10, 10), 0.4, "saliency"), SeedBox((100, 0, 10, 10), 0.3, "saliency")]
    found = merged(moving, salient)
    assert [(seed.box[0], seed.source) for seed in found] == [(50, "motion"), (0, "motion"), (100, "saliency")]
    assert found[0].score == 1 - 0.5 * 0.6
