"""The tracker's contract: states that leak nothing, bounded memory, clear errors; and its package on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sstrack.configs.tracking import TrackingConfig
from sstrack.models.export import example_inputs
from sstrack.models.head import HeadMaps
from sstrack.models.package import load_package, save_package
from sstrack.models.package_files import package_digest, package_facts
from sstrack.models.tracker_net import NetOutput, TrackerNet
from sstrack.recipes import recipe
from sstrack.tracking.memory import TemplateMemory
from sstrack.tracking.state import TrackerState
from sstrack.tracking.tracker import Tracker
from tests.factories import tiny_recipe

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


def test_a_state_does_not_grow_on_endless_video() -> None:
    """Two sequences at once: crops that were cut together must not keep each other alive."""
    torch.manual_seed(0)
    config = tiny_recipe()
    tracker = Tracker(TrackerNet(config.net), config.tracking)
    picture = np.random.default_rng(0).integers(0, 255, (32, 40, 3), dtype=np.uint8)
    states = [tracker.start(picture, box) for box in ((5, 5, 8, 8), (20, 12, 9, 9))]
    size = {}
    for index in range(1, 3001):
        states = [state for state, _ in tracker.step_many(states, [picture, picture])]
        if index in (300, 3000):
            size[index] = [held_bytes(state) for state in states]
            assert all(len(state.memory.crops) <= 65 for state in states)
    assert states[0].frame == 3000
    crop = 3 * config.net.template_size**2 * 4
    assert all(held <= 65 * crop + 4096 for sizes in size.values() for held in sizes)


def held_bytes(state: TrackerState) -> int:
    """Memory of everything a state keeps alive, views' whole storages included."""
    storages = [tensor.untyped_storage() for tensor in (*state.memory.crops, state.box, state.query)]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def test_cuda_graphs_are_refused_where_there_is_no_gpu(net: TrackerNet) -> None:
    with pytest.raises(ValueError, match="CUDA graphs need the network on a CUDA device, and this one is on cpu"):
        Tracker(net, TrackingConfig(), graphed=True)


def test_bfloat16_weights_are_what_autocast_makes_of_them(net: TrackerNet) -> None:
    lower = Tracker(net, TrackingConfig(precision="bfloat16"))
    templates, search, query = example_inputs(net, 2, 3)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = net(templates, search, query)
    with torch.inference_mode():
        maps, following = lower._forward(templates, search, query)
    assert maps.score.dtype == following.dtype == torch.float32
    torch.testing.assert_close(maps.score, expected.maps.score.float(), atol=0, rtol=0)
    torch.testing.assert_close(following, expected.query.float(), atol=0, rtol=0)
    assert all(parameter.dtype == torch.float32 for parameter in net.parameters())


class _Carrying(TrackerNet):
    """Notes whether each search was handed a query."""

    handed: list[bool]

    def forward(self, templates_BTCHW, search_BCHW, query_BC=None, eliminate=1.0):
        self.handed.append(query_BC is not None and bool(query_BC.any()))
        return super().forward(templates_BTCHW, search_BCHW, query_BC, eliminate)


@pytest.mark.parametrize(
    ("changes", "handed"),
    [
        ({"objective.name": "matching"}, [False] * 7),
        ({"objective.name": "decoupled", "objective.carry_query": "false"}, [False] * 7),
        # Two later frames and two views are four searches: three hand the query on.
        ({"objective.name": "decoupled"}, [False, True, True, True, False, True, True]),
        ({"objective.name": "matching", "tracking.carry_frames": 1}, [False, True, False, True, False, True, False]),
        ({"objective.name": "decoupled", "tracking.carry_frames": 0}, [False] * 7),
        ({"objective.name": "decoupled", "tracking.carry_frames": 10**6}, [False, *[True] * 6]),
    ],
)
def test_the_query_is_carried_as_in_the_networks_training_unless_an_option_says_otherwise(
    changes: dict[str, object], handed: list[bool], tmp_path: Path
) -> None:
    made = recipe("tiny_cpu", changes)
    save_package(tmp_path / "package", TrackerNet(made.net), made, {})
    _, read = load_package(tmp_path / "package")
    net = _Carrying(read.net)
    net.handed = []
    follow(Tracker(net, read.tracking_as_trained), frames(8))
    assert net.handed == handed


@pytest.mark.soak
def test_a_compiled_network_tracks_alike(net: TrackerNet) -> None:
    pictures = frames(4)
    compiled = follow(Tracker(net, TrackingConfig(), compiled=True), pictures)
    np.testing.assert_allclose(compiled, follow(Tracker(net, TrackingConfig()), pictures), atol=0.05)


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


def test_a_frame_that_is_no_picture_is_refused(net: TrackerNet) -> None:
    for wrong in (
        np.zeros((80, 100, 2), np.uint8),
        np.zeros((80, 100, 3), np.float32),
        np.zeros((0, 100, 3), np.uint8),
    ):
        with pytest.raises(ValueError, match=r"need \[height, width, 3\] RGB"):
            Tracker(net, TrackingConfig()).start(wrong, BOX)
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


def test_grayscale_alpha_and_16_bit_are_tracked_as_their_8_bit_colours(net: TrackerNet) -> None:
    tracker = Tracker(net, TrackingConfig())
    colour = frames(3)
    gray = [picture[..., :1] for picture in colour]
    expected = follow(tracker, [np.repeat(picture, 3, axis=2) for picture in gray])
    assert follow(tracker, gray) == follow(tracker, [picture[..., 0] for picture in gray]) == expected
    alpha = [np.concatenate([picture, picture[..., :1]], axis=2) for picture in colour]
    deep = [picture.astype(np.uint16) * 257 for picture in colour]
    assert follow(tracker, alpha) == follow(tracker, deep) == follow(tracker, colour)


def test_a_frame_of_another_size_is_refused_by_name(net: TrackerNet) -> None:
    tracker = Tracker(net, TrackingConfig())
    state, _ = tracker.step(tracker.start(frames(1)[0], BOX), frames(1)[0])
    with pytest.raises(ValueError, match="frame 2 is 50x80, but the sequence began with 100x80"):
        tracker.step(state, frames(1)[0][:, :50])


def test_a_kept_state_can_be_stepped_from_again(net: TrackerNet) -> None:
    tracker, pictures = Tracker(net, TrackingConfig()), frames(3)
    state, _ = tracker.step(tracker.start(pictures[0], BOX), pictures[1])
    assert tracker.step(state, pictures[2])[1] == tracker.step(state, pictures[2])[1]


def test_memory_follows_the_published_schedule_until_it_is_thinned() -> None:
    def chosen(last: int, n: int) -> list[int]:
        memory = TemplateMemory((torch.zeros(3, 1, 1),))
        for frame in range(1, last):
            if memory.wants(frame):
                memory = memory.add(frame, torch.full((3, 1, 1), float(frame)))
        return [int(crop[0, 0, 0]) for crop in memory.choose(n, last)]

    assert chosen(3, 3) == [0, 1, 2] and chosen(4, 3) == [0, 1, 2, 3]
    assert chosen(60, 3) == [0, 10, 30, 50]
    for last in (100, 1000, 12345):
        published = [last // 3 * part + last // 3 // 2 for part in range(3)]
        assert chosen(last, 3)[0] == 0
        assert max(abs(a - b) for a, b in zip(chosen(last, 3)[1:], published, strict=True)) <= 0.02 * last
    assert chosen(50, 0) == [0]


def test_only_sure_predictions_become_templates(net: TrackerNet) -> None:
    tracker, pictures = Tracker(net, TrackingConfig(remember_above=0.99)), frames(6)
    state = tracker.start(pictures[0], BOX)
    for picture in pictures[1:]:
        state, _ = tracker.step(state, picture)
    assert state.memory.frames == (0,)


def test_smoothing_keeps_part_of_the_last_size(net: TrackerNet) -> None:
    pictures = frames(2)
    plain, smooth = (follow(Tracker(net, TrackingConfig(smooth_size=keep)), pictures)[0] for keep in (0.0, 0.75))
    inside = [30 < box[0] + box[2] / 2 < 70 for box in (plain, smooth)]
    assert all(inside)
    for side in (2, 3):
        assert smooth[side] == pytest.approx(plain[side] * 0.25 + BOX[side] * 0.75, abs=0.5)


def test_an_unsure_tracker_searches_the_whole_frame(net: TrackerNet) -> None:
    """With a threshold above any score of an untrained network, only the rule's own conditions stop a redetection."""
    pictures = frames(8)
    never = Tracker(net, TrackingConfig(redetect_below=0.9, redetect_after=100, absent_below=0.9))
    state = never.start(pictures[0], BOX)
    for count, picture in enumerate(pictures[1:], start=1):
        state, prediction = never.step(state, picture)
        assert state.unsure == count and prediction.absent and not prediction.redetected


def test_a_lost_target_is_found_again_anywhere_in_the_frame(net: TrackerNet) -> None:
    """The score map is replaced by one that knows where the bright target is, so that only the search is tested."""
    oracle = Tracker(_BrightnessNet(net), TrackingConfig(hann=1.0, redetect_below=0.5, redetect_after=2))
    picture, moved = np.zeros((240, 320, 3), np.uint8), np.zeros((240, 320, 3), np.uint8)
    picture[20:40, 20:40] = 255
    moved[180:200, 260:280] = 255
    state = oracle.start(picture, (20, 20, 20, 20))
    state, prediction = oracle.step(state, picture)
    assert prediction.score > 0.5 and not prediction.redetected
    state, prediction = oracle.step(state, moved)
    assert prediction.score < 0.5 and not prediction.redetected
    state, prediction = oracle.step(state, moved)
    assert prediction.redetected
    x, y, w, h = prediction.box
    assert abs(x + w / 2 - 270) < 8 and abs(y + h / 2 - 190) < 8 and state.unsure == 0


class _BrightnessNet(TrackerNet):
    """Scores each cell by its brightness; offsets half a cell, a fixed size of a quarter of the region."""

    def __init__(self, like: TrackerNet) -> None:
        super().__init__(like.config)

    def forward(
        self, templates_BTCHW: torch.Tensor, search_BCHW: torch.Tensor, query_BC: torch.Tensor | None = None
    ) -> NetOutput:
        b, side = len(search_BCHW), self.cells
        score = torch.nn.functional.adaptive_avg_pool2d(search_BCHW.mean(1, keepdim=True) / 255, side)[:, 0]
        half = torch.full((b, 2, side, side), 0.5)
        maps = HeadMaps((score * 2).clamp(1e-4, 1 - 1e-4), half, half / 2)
        return NetOutput(maps, torch.zeros(b, self.config.width), torch.zeros(b, side * side, self.config.width))
