"""From an objective's name in a configuration to the objective."""

import importlib

from sstrack.configs.names import require_objective
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.objectives.base import Objective


def build_objective(net_config: NetConfig, config: ObjectiveConfig) -> Objective:
    """The objective that the configuration names, for one network configuration."""
    require_objective(config.name)
    module = importlib.import_module(f"sstrack.objectives.{config.name}")
    return getattr(module, config.name)(net_config, config)
