"""Display matrices: what a matrix says is what a player does, whichever of the eight ways it turns."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.footage.turn import Turn, from_matrix

ONE = 1 << 16


def matrix(quarters: int, mirrored: bool, askew: float = 0.0) -> tuple[int, ...]:
    """The matrix that first mirrors left to right, then turns counter-clockwise by `quarters` and `askew` degrees."""
    angle = math.radians(90 * quarters + askew)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])  # y runs downwards
    (a, c), (b, d) = turn @ np.diag([-1 if mirrored else 1, 1])
    return tuple(round(value) for value in (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30))


@given(st.integers(0, 3), st.booleans(), st.floats(-40, 40))
def test_a_matrix_gives_its_turn_even_when_a_little_askew(quarters: int, mirrored: bool, askew: float) -> None:
    assert from_matrix(matrix(quarters, mirrored, askew)) == Turn(quarters, mirrored)


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turn_moves_each_corner_where_the_matrix_says(quarters: int, mirrored: bool) -> None:
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3)
    a, b, _, c, d = (value / ONE for value in matrix(quarters, mirrored)[:5])
    points = [(a * x + c * y, b * x + d * y, picture[y, x]) for y in range(2) for x in range(3)]
    left, top = min(x for x, _, _ in points), min(y for _, y, _ in points)
    turned = Turn(quarters, mirrored).apply(picture)
    for x, y, value in points:
        assert turned[round(y - top), round(x - left)] == value


def test_upright_frames_have_no_filters_and_nothing_to_say() -> None:
    assert Turn().chain == () and Turn().said == ""
    assert Turn(3, True).said == "mirrored and turned 270"
