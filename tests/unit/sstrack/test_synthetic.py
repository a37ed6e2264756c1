"""Rendered scenes: the seed decides all, and the boxes are where the target is."""

import numpy as np
import pytest

from sstrack.synthetic import SceneConfig, render_scene

PHOTOS = [np.random.default_rng(i).integers(0, 255, (120, 160, 3), dtype=np.uint8) for i in range(2)]


def test_the_same_seed_gives_the_same_scene_and_another_one_another() -> None:
    config = SceneConfig(frames=4)
    first, again, other = (render_scene(PHOTOS, seed, config) for seed in (3, 3, 4))
    assert np.array_equal(first.frames, again.frames) and np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.frames, other.frames)


def test_a_lone_target_over_a_still_camera_changes_only_pixels_around_its_boxes() -> None:
    config = SceneConfig(frames=6, objects=1, camera_speed=0.0, speed=(3.0, 3.0))
    scene = render_scene(PHOTOS, 5, config)
    changed = np.abs(scene.frames[5].astype(int) - scene.frames[0]).max(-1) > 0
    elsewhere = changed.copy()
    for x, y, w, h in scene.boxes[[0, 5]].astype(int):
        assert changed[y : y + h, x : x + w].mean() > 0.3
        elsewhere[max(y - 3, 0) : y + h + 3, max(x - 3, 0) : x + w + 3] = False
    assert not elsewhere.any()


def test_an_occluder_hides_a_part_of_the_target_once() -> None:
    scene = render_scene(PHOTOS, 1, SceneConfig(frames=60, objects=1, occluders=1))
    assert scene.visible[0] == pytest.approx(1.0)
    assert scene.visible.min() < 0.7


def test_targets_move_and_stay_in_the_frame() -> None:
    scene = render_scene(PHOTOS, 2, SceneConfig(frames=40))
    assert np.ptp(scene.boxes[:, :2], axis=0).max() > 20
    assert (scene.boxes[:, :2] >= 0).all()
    assert (scene.boxes[:, 0] + scene.boxes[:, 2] <= 320).all() and (scene.boxes[:, 1] + scene.boxes[:, 3] <= 240).all()


def test_no_photograph_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one photograph"):
        render_scene([], 0)
