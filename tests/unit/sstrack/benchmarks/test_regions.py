"""Regions as text, as binary, as pixels."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sstrack.benchmarks.metrics.raster import draw_toolkit, overlap_classic, overlap_toolkit
from sstrack.benchmarks.regions import MASK, format_regions, parse_regions, polygon_regions

SIZE = (40, 30)
masks = st.integers(1, 2**63).map(lambda seed: np.random.default_rng(seed).random((7, 9)) < 0.5)


def encoded(mask: np.ndarray, x: int, y: int) -> str:
    flat = np.concatenate(([0], mask.ravel().astype(int), [1 - int(mask.ravel()[-1])]))
    ends = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate(([0], ends)))
    if runs.sum() < mask.size:
        runs = np.append(runs, mask.size - runs.sum())
    return f"m{x},{y},{mask.shape[1]},{mask.shape[0]}," + ",".join(map(str, runs))


def painted(mask: np.ndarray, x: int, y: int) -> np.ndarray:
    """[H, W] the mask inside the image, pixel by pixel."""
    image = np.zeros((SIZE[1], SIZE[0]), dtype=bool)
    for row, column in zip(*np.nonzero(mask), strict=True):
        if 0 <= row + y < SIZE[1] and 0 <= column + x < SIZE[0]:
            image[row + y, column + x] = True
    return image


@given(masks, masks, st.integers(-5, 38), st.integers(-5, 28))
def test_masks_overlap_as_their_pixels_do(first: np.ndarray, second: np.ndarray, x: int, y: int):
    a = parse_regions(encoded(first, x, y).encode(), "a")
    b = parse_regions(encoded(second, x + 2, y - 1).encode(), "b")
    one, two = painted(first, x, y), painted(second, x + 2, y - 1)
    assert draw_toolkit(a, SIZE).areas(1)[0] == one.sum()
    if one.any() and two.any():
        rows, columns = np.nonzero(one | two)
        if np.ptp(rows) and np.ptp(columns):
            assert overlap_toolkit(a, b, SIZE)[0] == pytest.approx((one & two).sum() / (one | two).sum())


@given(st.lists(st.tuples(*[st.integers(-20, 60)] * 4), min_size=1, max_size=8))
def test_whole_boxes_overlap_as_their_pixels_do_and_in_any_number_at_once(boxes: list[tuple[int, ...]]):
    table = np.array(boxes, dtype=np.float64)
    table[:, 2:] = np.abs(table[:, 2:]) + 2
    regions = polygon_regions(table)
    other = polygon_regions(np.tile([3.0, 4.0, 25.0, 17.0], (len(boxes), 1)))
    together = overlap_toolkit(regions, other, SIZE)
    for index, (x, y, w, h) in enumerate(table.astype(int)):
        alone = overlap_toolkit(regions.take(np.array([index])), other.take(np.array([index])), SIZE)
        assert alone[0] == together[index]
        image = np.zeros((2, SIZE[1], SIZE[0]), dtype=bool)
        image[0, max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = True
        image[1, 4:21, 3:28] = True
        assert together[index] == pytest.approx(image.all(axis=0).sum() / image.any(axis=0).sum())


@given(st.lists(st.floats(0, 30, width=32), min_size=8, max_size=8))
def test_overlaps_are_shares_and_a_polygon_agrees_with_itself(corners: list[float]):
    one = polygon_regions(np.array([corners]))
    square = polygon_regions(np.array([[5.0, 5, 25, 5, 25, 25, 5, 25]]))
    for value in (overlap_toolkit(one, square, SIZE)[0], overlap_classic(one, square, (39, 29))[0, 0]):
        assert 0 <= value <= 1
    assert overlap_toolkit(square, square, SIZE)[0] == overlap_classic(square, square, (39, 29))[0, 0] == 1


def test_the_two_drawings_differ_by_a_border_on_boxes():
    a, b = (polygon_regions(np.array([[x, 5.0, 10, 10]])) for x in (5.0, 10.0))
    assert overlap_toolkit(a, b, SIZE)[0] == pytest.approx(50 / 150)
    assert overlap_classic(a, b, (39, 29))[0, 0] == pytest.approx(66 / 176)


def test_text_goes_round_and_nan_is_an_unknown():
    text = b"1\n10.5000,20.2500,30.0000,40.0000\n1.0000,2.0000,3.0000,4.0000,5.0000,6.0000\nm2,3,4,2,1,3,4\n"
    regions = parse_regions(text, "x")
    assert format_regions(regions) == text
    assert regions.codes.tolist() == [1, -1, -1, -1]
    assert regions.boxes[2].tolist() == [1, 2, 4, 4]
    assert regions.boxes[3].tolist() == [3, 3, 3, 1]
    assert parse_regions(b"nan,nan,nan,nan\n1,2,3,4\n", "x").codes.tolist() == [0, -1]


def test_the_toolkits_binary_form():
    mask = (2, 3, 4, 2, 3, 1, 3, 4)
    data = struct.pack("<hI", 1, 4) + struct.pack("<BI", 0, 1) + struct.pack("<B4f", 1, 1.5, 2, 3, 4)
    data += struct.pack("<BH6f", 2, 3, 1, 2, 3, 4, 5, 6) + struct.pack("<BhhHHH3H", 3, *mask)
    regions = parse_regions(data, "x.bin")
    assert regions.codes[0] == 1 and regions.of(1).tolist() == [1.5, 2, 3, 4]
    assert regions.kind[3] == MASK and regions.of(3).tolist() == [2, 3, 4, 2, 1, 3, 4]
    for cut in (3, 7, 15, 40, len(data) - 1):
        with pytest.raises(ValueError, match=r"x\.bin"):
            parse_regions(data[:cut], "x.bin")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"m1,2,3", "expected a code"),
        (b"m1,2,100000,100000,5", "at most"),
        (b"m1,2,3,-4,5", "whole numbers"),
        (b"m1,2,3,4,1.5", "whole numbers"),
        (b"1,2", "expected a code"),
        (b"1,2,3,4,5", "expected a code"),
        (b"", "line 2"),
        (b"1,a,3,4", "line 2"),
    ],
)
def test_a_line_that_is_no_region_is_named(line: bytes, said: str):
    with pytest.raises(ValueError, match=said):
        parse_regions(b"1\n" + line + b"\n1\n", "file")
