"""The network before its first step."""

import torch

from pipelines.errors import SSTrackError
from sstrack.configs.recipe import Recipe
from sstrack.models.tracker_net import TrackerNet
from sstrack.models.weights import WeightsReport, load_initial_weights


def initial_net(recipe: Recipe) -> tuple[TrackerNet, WeightsReport | None]:
    """The network with initial weights where the recipe names some, the rest from its seed; and what became of those
    weights, None where it names none.

    Raises SSTrackError if the initial weights cannot be had or are of another network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = TrackerNet(recipe.net)
    if not recipe.net.weights:
        return net, None
    try:
        return net, load_initial_weights(net, recipe.net.weights, recipe.net.weights_sha256)
    except ValueError as error:
        raise SSTrackError(str(error)) from error
