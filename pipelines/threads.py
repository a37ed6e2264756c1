"""How many of torch's threads a network is run with on a CPU: one place for tracking and serving. An evaluation takes
one in each of its processes (`How.threads`), which gives the same bytes however sequences are spread over them.

More threads than free cores cost far more than they bring: they wait for one another with spinning, and a small
network's layers end before they are handed out. Figures: `bench/tracking.py --by-threads`, docs/performance.md.
"""

import os

import psutil

from pipelines.errors import UsageError
from sstrack.configs.recipe import Recipe

SMALL = 1.0
"""10⁹ multiply-adds of one frame up to which a second thread brings nothing even on an idle machine."""
MOST = 8
"""More threads bring little for one frame of any of our networks."""
_LOOK_S = 0.2
"""How long it is watched which cores are busy; the load average would lag by a minute."""


def giga_macs(recipe: Recipe) -> float:
    """About how many 10⁹ multiply-adds the backbone takes for one frame with all its templates."""
    net = recipe.net
    tokens = 1 + (net.search_size // net.patch) ** 2
    tokens += (1 + recipe.tracking.memory) * (net.template_size // net.patch) ** 2
    return net.depth * (12 * tokens * net.width**2 + 2 * tokens**2 * net.width) / 1e9


def pick_threads(recipe: Recipe, asked: int | None = None) -> int:
    """Threads for one frame after another of this recipe's network, in one process.

    Args:
        recipe: of the model.
        asked: what a person wants, `--threads`; wins.

    A large network takes the cores that this process may use less those that are busy just now.
    """
    mine = os.sched_getaffinity(0)
    cores = len(mine)
    if asked is not None:
        if not 1 <= asked <= 4 * cores:
            raise UsageError(f"threads {asked}: expected 1 to {4 * cores} on this machine of {cores} cores")
        return asked
    if giga_macs(recipe) <= SMALL:
        return 1
    shares = psutil.cpu_percent(_LOOK_S, percpu=True)
    busy = sum(share for core, share in enumerate(shares) if core in mine) / 100
    return max(1, min(MOST, cores - round(busy)))


def use_threads(count: int) -> None:
    """Let torch run with `count` threads in this process from now on."""
    import torch

    torch.set_num_threads(count)
