"""Named changes of appearance and motion: each does what its name says, and boxes follow pictures."""

import pytest
import torch
from torch import Generator, Tensor

from sstrack.boxes import iou
from sstrack.configs.names import CHANGES
from sstrack.objectives.changes import apply_changes

BOX = torch.tensor([0.3, 0.35, 0.3, 0.25])
GEOMETRIC = {"flip", "scale", "shear", "rotate", "turn"}


def pictures(b: int = 8, channels: int = 3) -> Tensor:
    """Gray noise with a bright square in `BOX`; the fourth channel is an opacity of 1."""
    noise = torch.rand((b, 3, 80, 80), generator=Generator().manual_seed(1)) * 60
    noise[:, :, 28:48, 24:48] += 150
    return torch.cat((noise, torch.ones(b, channels - 3, 80, 80)), dim=1)


def changed(name: str, chance: float = 1.0, channels: int = 3) -> tuple[Tensor, Tensor]:
    return apply_changes(pictures(channels=channels), BOX.expand(8, 4), ((name, chance),), Generator().manual_seed(2))


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("channels", [3, 4])
def test_every_change_changes_pictures_keeps_their_shape_and_spares_opacity(name: str, channels: int) -> None:
    result, boxes = changed(name, channels=channels)
    assert result.shape == (8, channels, 80, 80) and boxes.shape == (8, 4)
    assert torch.isfinite(result).all() and result[:, :3].min() >= -1e-3 and result[:, :3].max() <= 255.001
    assert all(not torch.equal(a[:3], b[:3]) for a, b in zip(result, pictures(), strict=True))
    if channels == 4 and name not in GEOMETRIC:
        assert torch.allclose(result[:, 3:], torch.ones(()), atol=1e-5)
    if name not in GEOMETRIC:
        assert torch.equal(boxes, BOX.expand(8, 4))


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_without_a_chance_never_happens_and_with_half_a_one_sometimes(name: str) -> None:
    untouched, boxes = changed(name, 0.0)
    assert torch.equal(untouched, pictures()) and torch.equal(boxes, BOX.expand(8, 4))
    half = [torch.equal(a, b) for a, b in zip(changed(name, 0.5)[0], pictures(), strict=True)]
    assert 0 < sum(half) < 8


@pytest.mark.parametrize("name", sorted(GEOMETRIC))
def test_boxes_follow_their_targets(name: str) -> None:
    result, boxes = changed(name)
    for picture, box in zip(result, boxes, strict=True):
        rows, columns = torch.nonzero(picture.mean(0) > 130, as_tuple=True)
        seen = torch.stack((columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1))
        assert iou(seen / 80, box) > 0.85


def test_flips_mirror_and_gray_has_no_colour() -> None:
    assert torch.equal(changed("flip")[0], pictures().flip(-1))
    gray = changed("grayscale")[0]
    assert torch.equal(gray[:, 0], gray[:, 1]) and torch.equal(gray[:, 1], gray[:, 2])


def test_occlusion_hides_a_quarter_to_a_third_of_the_box() -> None:
    inside = (changed("occlusion")[0][:, :, 28:48, 24:48].amax(1) < 100).float().mean((1, 2))
    assert ((inside > 0.2) & (inside < 0.4)).all()
    outside = changed("occlusion")[0]
    outside[:, :, 28:48, 24:48] = pictures()[:, :, 28:48, 24:48]
    assert torch.equal(outside, pictures())


def test_motion_blur_keeps_the_light_and_takes_the_detail() -> None:
    result = changed("motion_blur")[0]
    assert result.mean() == pytest.approx(float(pictures().mean()), rel=0.02)
    assert (result[:, :, :20].std() < 0.9 * pictures()[:, :, :20].std()).all()
