"""Target-aware data synthesis, as a baseline on the same network (Li et al., "Self-Supervised Tracking via Target-Aware
Data Synthesis", arXiv 2106.10900): cut targets out, transform them, paste them, train in the ordinary supervised way.

Public descriptions say what is simulated (changes of the object's appearance and of its surroundings), not with which
strengths; those here are ours. Every sample is synthesised: the target of another clip of the group is pasted, changed
anew in each frame, among other targets as interference, and training on the known boxes is that of `supervised`.
"""

from dataclasses import dataclass, replace

from torch import Generator, Tensor

from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.objectives.base import ClipBatch, Network, Shown
from sstrack.objectives.copy_paste import copy_paste
from sstrack.objectives.schedule import scheduled
from sstrack.objectives.supervised import search_later, supervise

TRANSFORMS = "rotate:0.5,shear:0.3,brightness:0.5,colour:0.3,motion_blur:0.2,occlusion:0.2"
"""Deformation, light, blur and occlusion of a pasted target; its scale is `paste_scale`."""


@dataclass(frozen=True)
class Tads:
    """The objective for one network configuration."""

    net_config: NetConfig
    config: ObjectiveConfig

    def __call__(
        self, net: Network, batch: ClipBatch, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        clips = copy_paste(batch, 1.0, self.net_config.template_size, self.config, generator)
        net = scheduled(net, progress, self.config)
        return supervise(net, clips.frames, clips.boxes, self.net_config, self.config, generator)

    def shown(self, net: Network, batch: ClipBatch, generator: Generator, progress: float) -> Shown:
        clips = copy_paste(batch, 1.0, self.net_config.template_size, self.config, generator)
        net = scheduled(net, progress, self.config)
        found = search_later(net, clips.frames, clips.boxes, self.net_config, self.config, generator)
        return Shown(clips.frames[:, 0], clips.boxes[:, 0], clips.sizes, found, [])


def tads(net_config: NetConfig, config: ObjectiveConfig) -> Tads:
    """The objective for one network configuration; a `paste_changes` that the recipe leaves alone is `TRANSFORMS`."""
    untouched = config.paste_changes == ObjectiveConfig().paste_changes
    return Tads(net_config, replace(config, paste_changes=TRANSFORMS) if untouched else config)
