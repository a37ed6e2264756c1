"""Stored pictures against swscale's best: the same shape and the same colours, whatever the stream's numbers mean."""

import av
import numpy as np
import pytest
import simplejpeg

from pipelines.ingest.video.jpeg import Colour, to_jpeg

KINDS = {
    "BT.709, limited": (1, 1),
    "BT.709, full": (1, 2),
    "BT.601, limited": (5, 1),
    "BT.601, full": (5, 2),
    "BT.2020, limited": (9, 1),
}


def scene(height: int, width: int) -> np.ndarray:
    """Soft random colours, so that sampling of the chroma does not count."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.float32)
    rows, columns = np.linspace(0, 5, height), np.linspace(0, 7, width)
    soft = np.stack(
        [[np.interp(columns, range(8), line) for line in coarse[:, :, channel]] for channel in range(3)], -1
    )
    low = np.floor(rows).astype(int).clip(0, 4)
    share = (rows - low)[:, None, None]
    return (soft[low] * (1 - share) + soft[low + 1] * share).round().astype(np.uint8)


@pytest.mark.parametrize("size", [(320, 180), (640, 360), (1000, 562), (1280, 720)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_keeps_its_colours_at_any_size(kind: str, size: tuple[int, int]) -> None:
    space, color_range = KINDS[kind]
    rgb = scene(720, 1280)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=space, dst_color_range=color_range
    )
    y, u, v = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    )
    shown = simplejpeg.decode_jpeg(to_jpeg((y, u, v), size, Colour(space, color_range == 2), quality=98))
    wanted = scene(size[1], size[0]).astype(np.float32)
    assert shown.shape == wanted.shape
    error = ((shown - wanted) ** 2).mean(axis=(0, 1))
    assert (10 * np.log10(255**2 / error) > 35).all(), error
    assert np.abs((shown - wanted).mean(axis=(0, 1))).max() < 1.5


def test_planes_that_need_nothing_are_encoded_as_they_are() -> None:
    y, u, v = (np.full(shape, value, np.uint8) for shape, value in (((90, 160), 200), ((45, 80), 90), ((45, 80), 170)))
    jpeg = to_jpeg((y, u, v), (160, 90), Colour(full_range=True), quality=90)
    assert jpeg == simplejpeg.encode_jpeg_yuv_planes(y, u, v, quality=90)
