"""Crops equal Pillow's antialiased resize; regions map both ways; pastes land where they are sent."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sstrack.crops import crop, from_region, paste, square_region, to_region, whole_frame_region


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
