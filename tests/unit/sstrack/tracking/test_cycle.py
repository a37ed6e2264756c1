"""Tracks that are kept where the way there and the way back agree, with the model that ships on drawn frames."""

import numpy as np
import pytest

from sstrack.models.package import load_package
from sstrack.pretrained import package_folder
from sstrack.tracking.cycle import closed_track
from sstrack.tracking.tracker import Tracker

SIDE = 28


@pytest.fixture(scope="module")
def tracker() -> Tracker:
    net, recipe = load_package(package_folder())
    return Tracker(net, recipe.tracking_as_trained)


def moving(count: int, gone_from: int = 1000) -> list[np.ndarray]:
    """A textured square that moves over soft noise, and is gone from a frame on."""
    rng = np.random.default_rng(3)
    ground = np.kron(rng.integers(60, 120, (12, 16, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    patch = np.kron(rng.integers(0, 255, (4, 4, 3)), np.ones((SIDE // 4, SIDE // 4, 1))).astype(np.uint8)
    frames = []
    for number in range(count):
        frame = ground.copy()
        if number < gone_from:
            frame[30 : 30 + SIDE, 20 + 6 * number : 20 + 6 * number + SIDE] = patch
        frames.append(frame)
    return frames


def test_a_thing_that_can_be_followed_is_followed_to_the_end(tracker: Tracker) -> None:
    found = closed_track(tracker, moving(8), (20, 30, SIDE, SIDE), 0.5)
    assert len(found) == 8
    assert np.abs(found[-1, :2] - (20 + 6 * 7, 30)).max() < SIDE / 3


def test_a_way_that_does_not_lead_back_is_cut_where_it_does(tracker: Tracker) -> None:
    found = closed_track(tracker, moving(8, gone_from=4), (20, 30, SIDE, SIDE), 0.5)
    assert len(found) <= 4
    assert len(closed_track(tracker, moving(8), (20, 30, SIDE, SIDE), 1.0)) == 0
