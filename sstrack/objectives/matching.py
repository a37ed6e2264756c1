"""An objective that cannot be solved without the template, for small networks and little time.

What stands out, moves, or was pasted is no answer: half of all targets are random textured boxes, distractors of other
clips lie beside the target inside the search region, and a pasted target has pasted distractors around it. A sample is
one of three kinds:

- pasted: a target of another clip in two frames of this one, so its boxes are known;
- its own self: a frame and the same frame changed;
- tracked: templates are cut from other frames where the network itself finds the target, without gradient, and the
  target is searched where its box is known, as in SSTrack's backward tracking. Such a sample counts if the search
  agrees: if it finds the target about where it came from.

The query is never carried. Templates beyond the first stand for a tracker's memory.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.profiler import record_function

from sstrack.boxes import clip_to_frame
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.crops import crop, from_region, square_region
from sstrack.objectives.base import ClipBatch, Network, Shown, mean_where
from sstrack.objectives.losses import Localisation, localise
from sstrack.objectives.match_pairs import (
    Places,
    Shares,
    Targets,
    choose_targets,
    cut_pairs,
    frames_at,
    other_frames,
    paste_targets,
    template_places,
)
from sstrack.objectives.schedule import scheduled
from sstrack.templates import cut_templates


@dataclass(frozen=True)
class Matching:
    """The objective for one network configuration."""

    net_config: NetConfig
    config: ObjectiveConfig

    def __call__(
        self, net: Network, batch: ClipBatch, generator: Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        _, shares, found, score = self._find(net, batch, generator, progress)
        place = torch.arange(len(found.iou), device=found.iou.device)
        tracked = place < shares.pastes.start
        pasted = ~tracked & (place < shares.pastes.stop)
        agrees = found.iou >= self.config.agree_above
        loss = found.total(self.config, (agrees | ~tracked).float())
        metrics = {
            **found.metrics(),
            "search_iou": found.iou.mean(),
            "pasted_iou": mean_where(found.iou, pasted),
            "self_iou": mean_where(found.iou, ~tracked & ~pasted),
            "tracked_iou": mean_where(found.iou, tracked),
            "agreed": mean_where(agrees.float(), tracked),
            "forward_score": score,
        }
        return loss, {**metrics, "loss": loss.detach()}

    def shown(self, net: Network, batch: ClipBatch, generator: Generator, progress: float) -> Shown:
        """Frames and boxes are those that targets come from, before anything is pasted."""
        targets, _, found, _ = self._find(net, batch, generator, progress)
        return Shown(frames_at(batch, targets.base), targets.boxes, batch.sizes, [found], [])

    def _find(
        self, net: Network, batch: ClipBatch, generator: Generator, progress: float
    ) -> tuple[Targets, Shares, Localisation, Tensor]:
        """Targets, samples of each kind, what was found, and the mean score of templates that were tracked to."""
        net = scheduled(net, progress, self.config)
        shares = self._shares(len(batch.frames), generator, progress)
        with record_function("targets"):
            targets = choose_targets(batch, self.config, generator)
            pasted = paste_targets(batch, targets, shares, self.config, generator)
        with record_function("forward tracking"):
            tracked, score = self._track(net, batch, targets, shares)
        with record_function("pairs"):
            frames = batch.frames.shape[1]
            places = template_places(targets, pasted, shares, tracked, frames, generator)
            pairs = cut_pairs(batch, targets, pasted, places, shares, self.net_config, self.config, generator)
        with record_function("search"):
            found = localise(net(pairs.templates, pairs.views).maps, pairs.targets, self.config)
        return targets, shares, found, score

    def _shares(self, b: int, generator: Generator, progress: float) -> Shares:
        """Decided by the seed, which the host knows; a draw it would have to wait for."""
        config, seed = self.config, generator.initial_seed()
        part, more = (seed % 10_007) / 10_007, seed // 10_007
        tracked = int(config.tracked_share * b + part) if progress >= config.tracked_from else 0
        pasted = int(config.paste_share * b + (more % 10_009) / 10_009) if b > 1 else 0
        templates = 1 + more // 10_009 % min(config.templates, self.net_config.max_templates)
        return Shares(min(tracked, b), min(pasted, b - min(tracked, b)), templates)

    @torch.no_grad()
    def _track(self, net: Network, batch: ClipBatch, targets: Targets, shares: Shares) -> tuple[list[Places], Tensor]:
        """Where the first `shares.tracked` targets are found in as many other frames as there are templates, from the
        nearest frame on, each searched around the box before it; and the mean score."""
        n, config = shares.tracked, self.net_config
        if n == 0:
            return [], torch.tensor(torch.nan, device=targets.boxes.device)
        others = other_frames(targets.base, batch.frames.shape[1])[:n]
        sizes, box = batch.sizes[:n], targets.boxes[:n]
        template = cut_templates(frames_at(batch, targets.base)[:n], box, config)[:, None]
        places: list[Places] = []
        scores: list[Tensor] = []
        for t in range(shares.templates):
            frame = others[:, t % others.shape[1]]
            region = square_region(box, config.search_factor)
            pictures = batch.frames[torch.arange(n, device=frame.device), frame]
            maps = net(template, crop(pictures, region, config.search_size)).maps
            best = maps.best_cell()
            box = from_region(maps.box_at(best).float(), region)
            box = clip_to_frame(box, sizes[:, 0], sizes[:, 1], min_side=2.0)
            places.append(Places(frame, box))
            scores.append(maps.score_at(best).float())
        return places, torch.stack(scores).mean()


def matching(net_config: NetConfig, config: ObjectiveConfig) -> Matching:
    """The objective for one network configuration."""
    return Matching(net_config, config)
