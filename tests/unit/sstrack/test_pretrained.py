"""The model that ships: whole, small, what its card says, a start for others, and able to track."""

import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from sstrack.models.package import load_package
from sstrack.models.package_files import WEIGHTS, package_facts
from sstrack.models.tracker_net import TrackerNet
from sstrack.models.weights import load_initial_weights
from sstrack.objectives.template_use import LEAST_LEAD
from sstrack.pretrained import package_folder
from sstrack.recipes import recipe
from sstrack.tracking.tracker import Tracker


def test_it_is_at_most_32_mib_in_half_precision_and_what_its_card_says() -> None:
    weights = package_folder() / WEIGHTS
    assert sum(path.stat().st_size for path in package_folder().iterdir() if path.is_file()) <= 32 * 2**20
    with safe_open(weights, "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118 - no mapping
    card = (package_folder() / "README.md").read_text()
    facts = package_facts(package_folder())
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in card and str(facts["run_key"]) in card
    assert isinstance(facts["template_lead"], float) and facts["template_lead"] > LEAST_LEAD


def test_the_recipe_small_starts_from_the_whole_of_it() -> None:
    net = TrackerNet(recipe("small").net)
    report = load_initial_weights(net, "pretrained")
    assert report.missing == () and report.unexpected == () and report.resized == ()
    own, _ = load_package(package_folder())
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in own.state_dict().items())


@pytest.mark.parametrize("seed", [1, 2])
def test_it_follows_a_texture_over_a_background_with_its_likes(seed: int) -> None:
    """Three patches of blotches cross a blotched ground; the first of them is the target."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)

    def blotches(height: int, width: int, grain: int) -> torch.Tensor:
        coarse = torch.rand((1, 3, height // grain, width // grain), generator=generator) * 255
        return F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)[0]

    ground, patches = blotches(240, 320, 40), [blotches(48, 48, 8) for _ in range(3)]
    net, made = load_package(package_folder())
    tracker = Tracker(net, made.tracking_as_trained)
    state, overlaps = None, []
    for t in range(12):
        frame = ground.clone()
        places = [(40 + 6 * t, 60 + 4 * t), (220 - 5 * t, 40), (120, 180 - 3 * t)]
        for (x, y), patch in reversed(list(zip(places, patches, strict=True))):
            frame[:, y : y + 48, x : x + 48] = patch
        picture = frame.permute(1, 2, 0).byte().numpy()
        x, y = places[0]
        if state is None:
            state = tracker.start(picture, (x, y, 48, 48))
            continue
        state, found = tracker.step(state, picture)
        left, top, width, height = found.box
        inner = max(0, min(left + width, x + 48) - max(left, x)) * max(0, min(top + height, y + 48) - max(top, y))
        overlaps.append(inner / (width * height + 48 * 48 - inner))
    assert np.mean(overlaps) > 0.6
