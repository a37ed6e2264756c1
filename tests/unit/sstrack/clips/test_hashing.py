"""Perceptual hashes: what shows the same lies near, what does not lies far, and a mirror is a change of signs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sstrack.clips.hashing import BYTES, clip_hash, distance, hashes_of, look, mirrored, moving, picture_look


def frames(seed: int, count: int = 6) -> np.ndarray:
    """Smooth random pictures, uint8 [count, 27, 48]."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, 6, 9))
    rows, columns = np.linspace(0, 4.999, 27), np.linspace(0, 7.999, 48)
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r)[None, :, None], (columns - c)[None, None]
    top = coarse[:, r][:, :, c] * (1 - fc) + coarse[:, r][:, :, c + 1] * fc
    bottom = coarse[:, r + 1][:, :, c] * (1 - fc) + coarse[:, r + 1][:, :, c + 1] * fc
    return (top * (1 - fr) + bottom * fr).astype(np.uint8)


@given(st.integers(0, 1000), st.floats(0.6, 1.2), st.floats(-20, 20))
def test_brightness_and_contrast_change_little(seed: int, contrast: float, light: float) -> None:
    one = frames(seed).astype(np.float32)
    other = np.clip((one - 128) * contrast * 0.8 + 128 + light, 0, 255).astype(np.uint8)
    one = ((one - 128) * 0.8 + 128).astype(np.uint8)
    assert distance(look(hashes_of(clip_hash(one))), look(hashes_of(clip_hash(other)))).mean() < 45


def test_other_pictures_differ_in_about_half_of_the_bits() -> None:
    hashes = [look(hashes_of(clip_hash(frames(seed)))) for seed in range(30)]
    apart = [distance(hashes[i], hashes[j]).mean() for i in range(30) for j in range(i)]
    assert 110 < np.mean(apart) < 146
    assert min(apart) > 80


def test_two_recordings_of_one_fixed_camera_differ_in_what_moves() -> None:
    room = frames(1, 1).repeat(8, 0)
    one, other = room.copy(), room.copy()
    for t in range(8):
        one[t, 5:15, 4 * t : 4 * t + 8] = 255
        other[t, 12:24, 40 - 4 * t : 46 - 4 * t] = 0
    a, b = hashes_of(clip_hash(one)), hashes_of(clip_hash(other))
    noisy = np.clip(one + np.random.default_rng(0).normal(0, 1.5, one.shape), 0, 255).astype(np.uint8)
    again = hashes_of(clip_hash(noisy))
    assert distance(moving(a), moving(again)).mean() < 12
    assert distance(moving(a), moving(b)).mean() > 20


@given(st.integers(0, 1000))
def test_a_mirrored_picture_has_the_mirrored_hash(seed: int) -> None:
    picture = frames(seed)
    flipped = hashes_of(clip_hash(np.ascontiguousarray(picture[:, :, ::-1])))
    assert distance(mirrored(hashes_of(clip_hash(picture))), flipped).max() <= 16  # coefficients near zero
    np.testing.assert_array_equal(mirrored(mirrored(flipped)), flipped)


def test_a_picture_without_contrast_has_no_hash() -> None:
    assert not hashes_of(clip_hash(np.full((3, 27, 48), 77, np.uint8))).any()
    assert not mirrored(hashes_of(clip_hash(np.full((3, 27, 48), 77, np.uint8)))).any()


def test_a_clip_has_one_hash_for_three_tiny_frames_and_at_least_one() -> None:
    assert [len(clip_hash(frames(3, count))) // BYTES for count in (1, 2, 3, 5, 6, 30)] == [1, 1, 1, 1, 2, 10]
    assert clip_hash(frames(3)[:0]) == b""
    means = frames(3).reshape(2, 3, 27, 48).astype(np.float32).mean(axis=1)
    np.testing.assert_array_equal(picture_look(means), look(hashes_of(clip_hash(frames(3)))))


def test_the_middle_of_a_picture_looks_like_a_cropped_copy() -> None:
    fine = np.repeat(np.repeat(frames(9, 12), 8, 1), 8, 2).astype(np.float32)
    kernel = [fine[:, 8 + dy : 208 + dy, 8 + dx : 376 + dx] for dy in range(-8, 9, 4) for dx in range(-8, 9, 4)]
    smooth = np.mean(kernel, axis=0)
    height, width = 27 * 7, 48 * 7
    whole = smooth[:, :height, :width].reshape(12, 27, 7, 48, 7).mean(axis=(2, 4))
    top, left = round(height * 0.06), round(width * 0.06)
    rim = smooth[:, top : height - top, left : width - left]
    rows = (np.arange(27 * 6) * rim.shape[1] / (27 * 6)).astype(int)
    columns = (np.arange(48 * 6) * rim.shape[2] / (48 * 6)).astype(int)
    cropped = rim[:, rows][:, :, columns].reshape(12, 27, 6, 48, 6).mean(axis=(2, 4))
    as_whole = distance(picture_look(whole), picture_look(cropped)).mean()
    as_middle = distance(picture_look(whole, middle=True), picture_look(cropped)).mean()
    assert as_middle < 50 < as_whole


def test_a_cut_off_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="73 bytes"):
        hashes_of(bytes(BYTES + 1))
