"""Quality: each score answers to what it names and to nothing else, and limits alone turn scores into verdicts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sstrack.clips.luma import LumaTrack
from sstrack.clips.overlay import overlay_share
from sstrack.clips.quality import SCORES, VERDICTS, Limits, clip_scores, span_scores, verdicts
from sstrack.clips.sharpness import sharpness
from sstrack.clips.stills import stillness

LIMITS = Limits(
    min_frames=10,
    black_level=20,
    flat_level=4,
    frozen_share=0.9,
    still_level=4,
    slideshow_share=0.5,
    blur_level=0.15,
    overlay_share=0.04,
)
Frames = NDArray[np.uint8]


def blurred(picture: NDArray[np.floating], times: int) -> NDArray[np.floating]:
    """Means of 3x3 pixels, again and again; edges wrap around."""
    for _ in range(times):
        picture = np.mean([np.roll(picture, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
    return picture


def texture(height: int, width: int, seed: int = 0, smooth: int = 0) -> NDArray[np.floating]:
    """A picture with contrast in all octaves, as nature has it, 0..255."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.normal(size=(height, width)))
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    pace = np.hypot(rows, columns)
    pace[0, 0] = 1
    picture = np.fft.irfft2(spectrum / pace, s=(height, width))
    picture = blurred(picture, smooth)
    picture = (picture - picture.min()) / (picture.max() - picture.min())
    return (255 * picture).astype(np.float32)


def shifted(picture: NDArray[np.floating], offsets: list[int]) -> Frames:
    return np.stack([np.roll(picture, offset, 1) for offset in offsets]).astype(np.uint8)


def scores_of(tiny: Frames) -> dict[str, float]:
    track = LumaTrack(lag=3)
    track.add(tiny)
    return span_scores(track.measures())


def test_light_and_motion_verdicts_name_what_is_wrong() -> None:
    still = texture(27, 48)[None].repeat(30, 0).astype(np.uint8)
    moving = shifted(texture(27, 48), list(range(30)))
    assert verdicts(scores_of(moving), 30, LIMITS) == ()
    assert verdicts(scores_of(moving), 9, LIMITS) == ("too_short",)
    assert verdicts(scores_of(still), 30, LIMITS) == ("near_static",)
    assert verdicts(scores_of(moving // 50), 30, LIMITS)[0] == "black"
    assert verdicts(scores_of(moving // 100 + 100), 30, LIMITS)[0] == "flat"


def test_a_small_thing_that_moves_keeps_a_still_shot() -> None:
    frames = np.repeat(np.random.default_rng(3).integers(90, 160, (1, 27, 48), dtype=np.uint8), 30, 0)
    for t in range(30):
        frames[t, 10:13, t : t + 3] = 230
    assert verdicts(scores_of(frames), 30, LIMITS) == ()
    assert stillness(frames).frozen == 0


def test_a_score_that_was_not_measured_speaks_against_nothing() -> None:
    assert verdicts({}, 30, LIMITS) == ()
    assert verdicts(dict.fromkeys(SCORES, float("nan")), 30, LIMITS) == ()


@given(st.dictionaries(st.sampled_from(SCORES), st.floats(0, 255)), st.integers(0, 40))
def test_verdicts_come_in_their_order_and_vanish_without_limits(scores: dict[str, float], frames: int) -> None:
    found = verdicts(scores, frames, LIMITS)
    assert list(found) == sorted(found, key=VERDICTS.index)
    none = Limits(0, 0, 0, 1e9, 0, 1e9, 0, 1e9)
    assert verdicts(scores, frames, none) == ()


def test_all_scores_are_measured_and_finite() -> None:
    tiny = shifted(texture(27, 48), list(range(20)))
    track = LumaTrack(lag=3)
    track.add(tiny)
    found = clip_scores(track.measures(), tiny, shifted(texture(120, 160), list(range(0, 80, 10))), bars=0.25)
    assert tuple(found) == SCORES
    assert np.isfinite(list(found.values())).all()
    assert found["bars"] == 0.25


@pytest.mark.parametrize("contrast", [0.3, 1.0])
@pytest.mark.parametrize("side", [160, 320])
def test_blur_lowers_sharpness_whatever_the_contrast_and_the_size(contrast: float, side: int) -> None:
    sharp = 128 + contrast * (texture(side * 9 // 16, side) - 128)
    soft = blurred(sharp, 8)
    assert sharpness(sharp.astype(np.uint8)) > 0.2
    assert sharpness(soft.astype(np.uint8)) < 0.15


def test_a_sharp_thing_before_a_blurred_background_is_sharp() -> None:
    picture = texture(180, 320, smooth=12)
    picture[60:120, 100:200] = texture(60, 100, seed=1)
    assert sharpness(picture.astype(np.uint8)) > 0.2


def test_a_picture_without_edges_has_no_sharpness() -> None:
    assert sharpness(np.full((90, 160), 90, np.uint8)) == 0
    assert sharpness(np.zeros((9, 9), np.uint8)) == 0


def test_a_freeze_is_frozen_and_a_crossfade_of_stills_a_slideshow() -> None:
    one, other = texture(27, 48, 1), texture(27, 48, 2)
    assert stillness(one[None].repeat(40, 0).astype(np.uint8)).frozen == 1
    assert stillness(one[None].repeat(40, 0).astype(np.uint8)).slides == 0
    mix = np.clip((np.arange(40) - 15) / 5, 0, 1)[:, None, None]
    fade = stillness(((1 - mix) * one + mix * other).astype(np.uint8))
    assert 0.7 < fade.frozen < 1
    assert fade.slides == 1


def test_a_still_camera_that_something_passes_is_no_slideshow() -> None:
    frames = texture(27, 48, 1)[None].repeat(50, 0).astype(np.uint8)
    for t in range(20, 28):
        frames[t, 5:20, 6 * (t - 20) : 6 * (t - 20) + 6] = 250
    found = stillness(frames)
    assert found.frozen > 0.5
    assert found.slides == 0


def zoomed(picture: NDArray[np.floating], scale: float, shift: float) -> NDArray[np.floating]:
    """The middle of a picture, 27x48, each pixel 4x4 samples that lie `scale` apart, seen `shift` to the right."""
    rows = picture.shape[0] / 2 + (np.arange(108) - 53.5) * scale
    columns = picture.shape[1] / 2 + (np.arange(192) - 95.5) * scale + shift
    r, c = rows.astype(int), columns.astype(int)
    fine = picture[np.ix_(r, c)]
    return fine.reshape(27, 4, 48, 4).mean(axis=(1, 3))


def test_a_photograph_under_a_steady_zoom_is_a_slideshow_and_a_hand_held_one_is_not() -> None:
    photo = texture(400, 700, 5, smooth=3)
    steady = np.stack([zoomed(photo, 2.0 - 0.012 * t, 0.8 * t) for t in range(40)]).astype(np.uint8)
    assert stillness(steady).slides > 0.8
    shake = np.random.default_rng(0).normal(0, 5, 40).cumsum() / 2
    hand = np.stack([zoomed(photo, 1.8, shake[t]) for t in range(40)]).astype(np.uint8)
    assert stillness(hand).slides < 0.3


def test_text_over_a_moving_picture_is_an_overlay_and_a_standing_camera_is_not() -> None:
    moving = shifted(texture(180, 320), [0, 31, 75, 103, 140, 177, 220, 260])
    assert overlay_share(moving) < 0.01
    lettered = moving.copy()
    lettered[:, 130:160:6, 30:250] = 255
    lettered[:, 131:160:6, 30:250] = 0
    assert overlay_share(lettered) > 0.05
    assert overlay_share(lettered[:1].repeat(8, 0)) == 0
    assert overlay_share(lettered[:3]) == 0


def test_a_frame_around_a_moving_picture_counts_with_its_area() -> None:
    moving = shifted(texture(180, 320), [0, 31, 75, 103, 140, 177, 220, 260])
    moving[:, :20] = moving[:, -20:] = 70
    moving[:, :, :30] = moving[:, :, -30:] = 70
    assert overlay_share(moving) == pytest.approx(1 - 140 * 260 / (180 * 320), abs=0.03)


def test_limits_are_what_a_clip_is_measured_by() -> None:
    blurred = {"sharpness": 0.1}
    assert verdicts(blurred, 30, LIMITS) == ("blurred",)
    assert verdicts(blurred, 30, replace(LIMITS, blur_level=0.05)) == ()
