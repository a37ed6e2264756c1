"""From an objective's name in a configuration to the objective."""

import importlib
from dataclasses import replace

from sstrack.configs.names import require_objective
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.objectives.base import Objective
from sstrack.objectives.phased import Phased


def build_objective(net_config: NetConfig, config: ObjectiveConfig) -> Objective:
    """The objective, or the two one after the other, that the configuration names, for one network configuration."""
    if config.then:
        first, second = replace(config, then=""), replace(config, name=config.then, then="")
        return Phased(build_objective(net_config, first), build_objective(net_config, second), config.then_from)
    require_objective(config.name)
    module = importlib.import_module(f"sstrack.objectives.{config.name}")
    return getattr(module, config.name)(net_config, config)
