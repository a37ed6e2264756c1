"""The tracker's contract: states that leak nothing, bounded memory, clear errors; and its package on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sstrack.models.package import load_package, save_package
from sstrack.models.package_files import package_digest, package_facts
from sstrack.models.tracker_net import TrackerNet
from sstrack.recipes import TrackingConfig, recipe
from sstrack.tracking.tracker import Tracker

BOX = (30.0, 20.0, 24.0, 20.0)


@pytest.fixture(scope="module")
def net() -> TrackerNet:
    torch.manual_seed(0)
    return TrackerNet(recipe("tiny_cpu").net)


def frames(n: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 255, (n, 80, 100, 3), dtype=np.uint8))


def follow(tracker: Tracker, pictures: list[np.ndarray]) -> list[tuple[float, ...]]:
    state, boxes = tracker.start(pictures[0], BOX), []
    for picture in pictures[1:]:
        state, prediction = tracker.step(state, picture)
        boxes.append(prediction.box)
        assert 0 < prediction.score < 1
    return boxes


def test_nothing_leaks_between_sequences(net: TrackerNet) -> None:
    tracker = Tracker(net, TrackingConfig())
    alone = follow(tracker, frames(6))
    first, second = frames(6), frames(6, seed=9)
    a, b = tracker.start(first[0], BOX), tracker.start(second[0], BOX)
    interleaved = []
    for one, two in zip(first[1:], second[1:], strict=True):
        a, prediction = tracker.step(a, one)
        b, _ = tracker.step(b, two)
        interleaved.append(prediction.box)
    assert interleaved == alone


def test_boxes_stay_inside_the_frame(net: TrackerNet) -> None:
    for x, y, w, h in follow(Tracker(net, TrackingConfig()), frames(20)):
        assert x >= 0 and y >= 0 and w >= 4 and h >= 4 and x + w <= 100 + 1e-3 and y + h <= 80 + 1e-3


def test_memory_is_bounded_on_endless_video(net: TrackerNet) -> None:
    tracker, pictures = Tracker(net, TrackingConfig()), frames(3)
    state = tracker.start(pictures[0], BOX)
    for index in range(300):
        state, _ = tracker.step(state, pictures[index % 3])
    assert len(state.templates) <= 65 and state.frame == 300


def test_blank_and_foreign_templates_change_what_is_found(net: TrackerNet) -> None:
    pictures, other = frames(2), frames(1, seed=5)[0]
    normal = follow(Tracker(net, TrackingConfig()), pictures)
    assert follow(Tracker(net, TrackingConfig(templates="zeroed")), pictures) != normal
    swapped = Tracker(net, TrackingConfig(templates="swapped"))
    _, prediction = swapped.step(swapped.start(pictures[0], BOX, other=(other, BOX)), pictures[1])
    assert [prediction.box] != normal


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((200, 20, 10, 10), "outside the 100x80 frame"),
        ((-20, 20, 10, 10), "outside the 100x80 frame"),
        ((10, 10, 0, 5), "sides above 0"),
        ((10, float("nan"), 5, 5), "finite"),
        ((10, 10, 5), "x, y, width, height"),
    ],
)
def test_a_wrong_first_box_is_refused(net: TrackerNet, box: tuple[float, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Tracker(net, TrackingConfig()).start(frames(1)[0], box)


def test_a_frame_that_is_no_rgb_picture_is_refused(net: TrackerNet) -> None:
    with pytest.raises(ValueError, match=r"frame of shape \(80, 100\)"):
        Tracker(net, TrackingConfig()).start(frames(1)[0][..., 0], BOX)
    with pytest.raises(ValueError, match="go with 'swapped'"):
        Tracker(net, TrackingConfig(templates="swapped")).start(frames(1)[0], BOX)


def test_a_package_loads_to_the_same_tracker(net: TrackerNet, tmp_path: Path) -> None:
    made = recipe("tiny_cpu")
    folder = save_package(tmp_path / "package", net, made, {"step": 7})
    loaded, its_recipe = load_package(folder)
    assert its_recipe == made and package_facts(folder) == {"step": 7}
    assert follow(Tracker(loaded, made.tracking), frames(4)) == follow(Tracker(net, made.tracking), frames(4))
    digest = package_digest(folder)
    assert package_digest(save_package(tmp_path / "again", net, made, {"step": 7})) == digest
    assert package_digest(save_package(folder, net, made, {"step": 8})) != digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "package"]


def test_a_damaged_package_is_refused(net: TrackerNet, tmp_path: Path) -> None:
    folder = save_package(tmp_path / "package", net, recipe("tiny_cpu"), {})
    (folder / "weights.safetensors").write_bytes(b"\x80\x04not weights")
    with pytest.raises(ValueError, match="does not hold the weights"):
        load_package(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        load_package(folder)
    with pytest.raises(ValueError, match="is no model package"):
        load_package(tmp_path)
