"""Seed boxes: a moving thing is found where it is on the first frame; stillness and camera motion alone give none."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sstrack.clips.seeds import motion_seeds

Luma = NDArray[np.uint8]


def texture(seed: int, height: int, width: int) -> NDArray[np.float32]:
    """Smooth noise over the whole range of grey."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    for _ in range(6):
        noise = (
            noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, -1, 0) + np.roll(noise, -1, 1)
        ) / 5
    return np.clip(128 + 60 * noise / noise.std(), 0, 255)


def scene(pan: float, step: float, box: tuple[int, int, int, int] = (30, 40, 28, 22), frames: int = 20) -> Luma:
    """A textured box that moves `step` pixels a frame over a wall that the camera passes at `pan` pixels a frame."""
    wall, thing = texture(1, 120, 400), texture(2, box[3], box[2])
    pictures = []
    for t in range(frames):
        left = round(pan * t)
        picture = wall[:, left : left + 160].copy()
        x, y = box[0] + round(step * t), box[1]
        picture[y : y + box[3], x : x + box[2]] = thing
        pictures.append(picture)
    return np.stack(pictures).astype(np.uint8)


def still_world(pan: float) -> Luma:
    """A wall that the camera passes, and nothing before it."""
    wall = texture(1, 120, 400)
    return np.stack([wall[:, round(pan * t) : round(pan * t) + 160] for t in range(20)]).astype(np.uint8)


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    w = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    return w * h / (a[2] * a[3] + b[2] * b[3] - w * h)


@pytest.mark.parametrize("pan", [0.0, 1.0, 2.5])
def test_a_moving_thing_is_boxed_tightly_with_a_still_and_a_moving_camera(pan: float) -> None:
    seeds = motion_seeds(scene(pan, step=4.0))
    assert overlap(seeds[0].box, (30, 40, 28, 22)) > 0.7
    assert 0.25 < seeds[0].score <= 1 and seeds[0].source == "motion"


@pytest.mark.parametrize("pan", [0.0, 2.0])
def test_a_camera_that_passes_a_still_world_gives_no_seed(pan: float) -> None:
    seeds = motion_seeds(still_world(pan))
    assert [seed for seed in seeds if seed.score > 0.25] == []


def test_seeds_come_best_first_and_do_not_overlap() -> None:
    pictures = scene(0.0, step=4.0)
    second = texture(5, 30, 30).astype(np.uint8)
    for t, picture in enumerate(pictures):
        picture[85:115, 120 - 4 * t : 150 - 4 * t] = second
    seeds = motion_seeds(pictures)
    assert len(seeds) >= 2
    assert [seed.score for seed in seeds] == sorted((seed.score for seed in seeds), reverse=True)
    assert overlap(seeds[0].box, seeds[1].box) == 0


def test_too_few_frames_give_no_seed() -> None:
    assert motion_seeds(scene(0.0, 4.0)[:2]) == []
