"""Tone mapping: greys stay grey, brighter stays brighter, and what is no HDR is left alone."""

import numpy as np
import pytest

from pipelines.footage.light import Light, light_of, table, table_file


@pytest.mark.parametrize("transfer", [16, 18])
def test_greys_stay_grey_and_in_order_from_black_to_white(transfer: int) -> None:
    cube = table(Light(transfer, 9))
    greys = np.array([cube[step, step, step] for step in range(len(cube))])
    assert np.ptp(greys, axis=1).max() < 1e-6
    assert (np.diff(greys[:, 0]) >= 0).all()
    assert greys[0, 0] < 0.01 and greys[-1, 0] > 0.99


def test_white_paper_is_bright_but_leaves_room_for_highlights() -> None:
    cube = table(Light(16, 9))
    paper = 0.58  # 203 cd/m2 in PQ
    grey = np.interp(paper, np.linspace(0, 1, len(cube)), [cube[i, i, i, 0] for i in range(len(cube))])
    assert 0.85 < grey < 0.97


@pytest.mark.parametrize(("transfer", "primaries"), [(1, 1), (2, 2), (13, 1), (14, 9)])
def test_ordinary_transfers_are_no_hdr(transfer: int, primaries: int) -> None:
    assert light_of(transfer, primaries) is None
    with table_file(None) as name:
        assert name == ""


def test_unknown_primaries_count_as_those_hdr_comes_with() -> None:
    assert light_of(18, 2) == Light(18, 9)
