"""Crops equal Pillow's antialiased resize; regions map both ways; pastes land where they are sent."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sstrack.crops import _crop_by_matrices, crop, from_region, paste, square_region, to_region, whole_frame_region


@pytest.mark.parametrize(
    ("region", "size"), [((100, 50, 300, 250), 96), ((10.5, 20.25, 60, 60), 128), ((200.3, 77.7, 411.1, 303.3), 64)]
)
def test_a_crop_equals_pillows_antialiased_resize(
    shared: Path, region: tuple[float, float, float, float], size: int
) -> None:
    image = Image.open(shared / "data/sequences/davis/car-shadow/img/00000.jpg").convert("RGB")
    frame = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    x, y, w, h = region
    expected = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=(x, y, x + w, y + h)), np.float32)
    ours = crop(frame, torch.tensor([region]), size)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - expected).mean() < 0.5


REAL = (
    "data/sequences/davis/car-shadow/img/00000.jpg",
    "data/sequences/otb/Skiing/img/0001.jpg",
    "data/sequences/vot/bag/color/00000001.jpg",
)


@pytest.mark.parametrize("path", REAL)
def test_both_ways_to_crop_equal_pillow_on_random_regions_of_real_frames(shared: Path, path: str) -> None:
    image = Image.open(shared / path).convert("RGB")
    frame = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    rng = np.random.default_rng(3)
    # At its border Pillow leaves out what lies outside, where we see black: regions keep off it by their taps' reach.
    sides = rng.uniform(1, min(image.size) * 0.7, (12, 2))
    corners = rng.uniform(0.1, 0.9, (12, 2)) * (np.array(image.size) - sides - 14) + 7
    regions = torch.from_numpy(np.concatenate((corners, sides), axis=1)).float()
    frames = frame.expand(12, -1, -1, -1)
    expected = np.stack(
        [
            np.asarray(image.resize((40, 56), Image.Resampling.BILINEAR, box=(x, y, x + w, y + h)), np.float32)
            for x, y, w, h in regions.double().tolist()
        ]
    ).transpose(0, 3, 1, 2)
    matrices = _crop_by_matrices(frames, regions, 56, 40, torch.float32)
    halves = _crop_by_matrices(frames, regions, 56, 40, torch.float16).float()
    for ours in (crop(frames, regions, (56, 40)), matrices, halves):
        assert np.abs(ours.numpy() - expected).mean((1, 2, 3)).max() < 0.6


def test_a_crop_of_bytes_equals_that_of_floats_in_any_memory_layout() -> None:
    picture = torch.randint(0, 256, (2, 50, 70, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    frames, regions = picture.permute(0, 3, 1, 2), torch.tensor([[3.0, 4.0, 30.0, 20.0], [-9.0, 20.0, 99.0, 80.0]])
    floats = crop(frames.float().contiguous(), regions, 24)
    assert torch.equal(crop(frames, regions, 24), floats) and floats.dtype == torch.float32
    assert crop(frames.double(), regions, 24).dtype == torch.float64


region_sides = st.floats(0.5, 300)
reaching = st.tuples(st.floats(-120, 120), st.floats(-120, 120), region_sides, region_sides)


@settings(deadline=None)  # the first call loads kernels
@given(st.lists(reaching, min_size=1, max_size=3))
def test_any_region_gives_the_same_by_taps_and_by_matrices(regions: list[tuple[float, float, float, float]]) -> None:
    frames = torch.rand(len(regions), 2, 48, 64, generator=torch.Generator().manual_seed(0)) * 255
    where = torch.tensor(regions)
    taps = crop(frames, where, 12)
    assert torch.isfinite(taps).all() and taps.min() >= 0 and taps.max() <= 255.01
    torch.testing.assert_close(taps, _crop_by_matrices(frames, where, 12, 12, torch.float32), atol=2e-2, rtol=1e-3)


@settings(deadline=None)
@given(st.floats(-30, 80), st.floats(-30, 60))
def test_a_one_pixel_box_is_cut_around_its_centre(x: float, y: float) -> None:
    ramp = torch.arange(64.0).expand(48, 64)
    frames = torch.stack((ramp, torch.arange(48.0)[:, None].expand(48, 64)))[None]
    box = torch.tensor([[x, y, 1.0, 1.0]])
    cut = crop(frames, square_region(box, 2.0), 8)
    if 3 < x < 60 and 3 < y < 44:  # inside, where the ramps go on: the mean is the pixel coordinate of the centre
        torch.testing.assert_close(cut.mean((0, 2, 3)), box[0, :2], atol=1e-3, rtol=0)
    if x < -4 or y < -4 or x > 68 or y > 52:
        assert cut.abs().max() == 0


def test_a_crop_outside_the_frame_is_black() -> None:
    assert crop(torch.full((1, 3, 20, 20), 255.0), torch.tensor([[30.0, 30.0, 10.0, 10.0]]), 8).abs().max() == 0


def test_crops_of_different_regions_in_one_batch_equal_each_alone() -> None:
    frames = torch.rand(3, 3, 90, 120, generator=torch.Generator().manual_seed(0)) * 255
    regions = torch.tensor([[10.0, 20.0, 12.0, 12.0], [-30.0, 40.0, 70.0, 70.0], [100.5, 70.25, 400.0, 400.0]])
    alone = [crop(frames[i : i + 1], regions[i : i + 1], 24)[0] for i in range(3)]
    torch.testing.assert_close(crop(frames, regions, 24), torch.stack(alone), atol=1e-2, rtol=1e-4)


def test_a_crop_of_a_flat_frame_is_flat_at_any_scale() -> None:
    frame = torch.full((3, 1, 40, 50), 77.0)
    regions = torch.tensor([[10.0, 10.0, 1.0, 1.0], [5.5, 7.25, 13.1, 11.9], [3.0, 3.0, 31.0, 33.0]])
    torch.testing.assert_close(crop(frame, regions, 16), torch.full((3, 1, 16, 16), 77.0), atol=1e-2, rtol=0)


corner = st.floats(-500, 500)
side = st.floats(1, 500)
boxes = st.tuples(corner, corner, side, side).map(lambda box: torch.tensor([box], dtype=torch.float64))


@given(boxes, boxes)
def test_mapping_into_a_region_and_back_changes_nothing(box: torch.Tensor, region: torch.Tensor) -> None:
    torch.testing.assert_close(from_region(to_region(box, region), region), box, atol=1e-6, rtol=1e-6)


@given(boxes, st.floats(1.5, 6))
def test_a_square_region_is_centred_on_its_box(box: torch.Tensor, factor: float) -> None:
    inside = to_region(box, square_region(box, factor))
    torch.testing.assert_close(inside[:, :2] + inside[:, 2:] / 2, torch.full((1, 2), 0.5, dtype=torch.float64))
    torch.testing.assert_close(
        inside[:, 2:].prod(-1).sqrt(), torch.full((1,), 1 / factor, dtype=torch.float64), atol=1e-6, rtol=1e-6
    )


def test_a_whole_frame_keeps_its_aspect_with_the_picture_at_top_left() -> None:
    frame = torch.zeros(1, 1, 30, 60)
    frame[..., :20, :40] = 100.0
    view = crop(frame, whole_frame_region(torch.tensor([[40.0, 20.0]])), 20)
    assert view[0, 0, 2:8, 2:18].min() > 99 and view[0, 0, 12:].max() == 0


def test_a_pasted_patch_fills_its_box_and_nothing_else() -> None:
    frame, patch = torch.zeros(1, 3, 50, 60), torch.full((1, 3, 16, 16), 200.0)
    box = torch.tensor([[20.0, 10.0, 12.0, 24.0]])
    pasted = paste(frame, patch, torch.ones(1, 1, 16, 16), box)
    assert pasted[0, :, 12:32, 22:30].min() > 195
    outside = pasted.clone()
    outside[..., 8:36, 18:34] = 0
    assert outside.abs().max() == 0


def test_a_patch_that_is_pasted_and_cut_again_is_the_patch() -> None:
    patch = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    box = torch.tensor([[8.0, 8.0, 16.0, 16.0]])
    again = crop(paste(torch.zeros(1, 3, 40, 40), patch, torch.ones(1, 1, 16, 16), box), box, 16)
    torch.testing.assert_close(again, patch, atol=1e-3, rtol=1e-4)
