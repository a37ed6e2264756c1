"""Blends: dissolves and fades are found where they are; cuts, motion and stills are none."""

import numpy as np
import pytest

from sstrack.clips.blends import REACH, blend_spans, blending, show_one_picture


def picture(seed: int) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 255, (7, 12))
    return np.kron(rough, np.ones((4, 4)))[:27].astype(np.float64)


def film(length: int, black: bool = False) -> np.ndarray:
    one, other = picture(1), np.zeros((27, 48)) if black else picture(2)
    shares = np.clip((np.arange(80) - 40) / max(1, length) + 0.5, 0, 1) if length else np.arange(80) >= 40
    return np.stack([one + share * (other - one) for share in shares]).round().astype(np.uint8)


@pytest.mark.parametrize("length", [8, 12, 20])
@pytest.mark.parametrize("black", [False, True])
def test_a_dissolve_and_a_fade_are_one_span_around_their_middle(length: int, black: bool) -> None:
    [(first, last)] = blend_spans(blending(film(length, black), level=10))
    assert abs((first + last) / 2 - 40) <= 1
    assert last - first >= length - REACH


def test_a_cut_is_no_blend() -> None:
    assert not blending(film(0), level=10).any()


def test_motion_is_no_blend() -> None:
    wide = np.hstack([picture(3), picture(4), picture(5)])
    moving = np.stack([wide[:, 2 * t % 96 : 2 * t % 96 + 48] for t in range(45)]).astype(np.uint8)
    assert not blending(moving, level=10).any()


def test_too_few_frames_hold_none() -> None:
    assert not blending(film(12)[: 2 * REACH], level=10).any()
    assert blend_spans(np.zeros(5, bool)) == []


def test_a_change_of_light_leaves_one_picture_and_a_fade_does_not() -> None:
    lit = picture(1)
    assert show_one_picture(lit.astype(np.uint8), (0.7 * lit + 60).astype(np.uint8))
    for share in (0.0, 0.3):
        assert not show_one_picture(lit.astype(np.uint8), (share * lit).astype(np.uint8))
    assert not show_one_picture(lit.astype(np.uint8), picture(2).astype(np.uint8))
    assert not show_one_picture(np.zeros((27, 48), np.uint8), np.full((27, 48), 255, np.uint8))


@pytest.mark.parametrize(("down", "right"), [(0, 6), (4, 0), (-3, -5)])
def test_a_camera_that_moved_shows_one_picture_still(down: int, right: int) -> None:
    wide = np.kron(np.random.default_rng(6).integers(0, 255, (13, 20)), np.ones((4, 4))).astype(np.uint8)
    one, other = (wide[10 + y : 37 + y, 12 + x : 60 + x] for y, x in ((0, 0), (down, right)))
    assert np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1] < 0.9
    assert show_one_picture(one, other) and show_one_picture(other, one)
