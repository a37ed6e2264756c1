"""What changes over a training: how often templates are cut at known boxes, how many search tokens are kept."""

import math
from functools import partial

from sstrack.configs.objective import ObjectiveConfig
from sstrack.objectives.base import Network


def teaching_share(progress: float, config: ObjectiveConfig) -> float:
    """Chance in 0..1 that memory templates come from known boxes: 1 in the curriculum's first half, then falling."""
    if config.known_templates_until == 0:
        return 0.0
    return min(1.0, max(0.0, 2 - 2 * progress / config.known_templates_until))


def elimination_share(progress: float, config: ObjectiveConfig) -> float:
    """How much of the network's candidate elimination is in force: 0 at first, then up to 1 along half a cosine.

    With a keep ratio of 0.7 a share of 0.5 keeps 0.85 of the tokens (published: epochs 20 to 100 of 150).
    """
    done = (progress - config.eliminate_from) / (config.eliminate_until - config.eliminate_from)
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, max(0.0, done)))


def scheduled(net: Network, progress: float, config: ObjectiveConfig) -> Network:
    """The network with as much candidate elimination as is in force at this point of the training."""
    return partial(net, eliminate=elimination_share(progress, config))
