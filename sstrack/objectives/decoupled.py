"""SSTrack's decoupled objective (Zheng et al., AAAI 2025).

Global forward tracking, without gradient: from the first frame's template, find the target in whole later frames and
cut memory templates at the predictions. Local backward tracking, with gradient: from those memory templates alone, find
the target in augmented views of the first frame, where its box is known. An instance contrastive term ties the views of
one target together and pushes the targets of other samples away. One network does both.
"""

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.profiler import record_function

from sstrack.boxes import clip_to_frame, iou
from sstrack.configs.names import parse_changes
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.crops import crop, from_region, square_region, whole_frame_region
from sstrack.objectives.base import ClipBatch, Network, Shown, mean_where
from sstrack.objectives.beside import BESIDE, SHOWN, lay_beside
from sstrack.objectives.changes import uniform
from sstrack.objectives.contrastive import box_mask, instance_contrast, masked_mean
from sstrack.objectives.copy_paste import PastedClips, copy_paste
from sstrack.objectives.losses import Localisation, localise
from sstrack.objectives.patches import PATCH, random_boxes, textured
from sstrack.objectives.schedule import scheduled, teaching_share
from sstrack.objectives.views import search_view, template_crops


@dataclass(frozen=True)
class Memory:
    """What forward tracking leaves for backward tracking."""

    templates: Tensor
    """`[B, T, 3, S, S]`."""
    query: Tensor | None
    """`[B, C]` of the last frame."""
    weights: Tensor
    """`[B]` how much each sample counts, at least 0."""


@dataclass(frozen=True)
class BackwardViews:
    """What backward tracking found in the views of the first frame."""

    found: list[Localisation]
    features: Tensor
    """`[V, B, C]` mean search token of the target in each view."""
    valid: Tensor
    """`[B]` bool: every view has such a token."""
    empty: Tensor
    """Scalar: share of masks that hold no cell but, by the `box` rule, their centre's."""


@dataclass(frozen=True)
class Decoupled:
    """The objective for one network configuration."""

    net_config: NetConfig
    config: ObjectiveConfig

    def __call__(
        self,
        net: Network,
        batch: ClipBatch,
        generator: Generator,
        progress: float,
        negatives: Tensor | None = None,
        counted: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and metrics of one group.

        Args:
            negatives: `[M, C]` features of targets of other groups, see `features`.
            counted: `[B]` bool, samples that count; all by default.
        """
        config = self.config
        _, memory, views, metrics = self._both_ways(net, batch, generator, progress)
        weights = memory.weights if counted is None else memory.weights * counted
        loss = torch.stack([found.total(config, weights) for found in views.found]).sum()
        for name in ("giou", "l1", "focal"):
            metrics[name] = torch.stack([found.metrics()[name] for found in views.found]).mean()
        metrics["backward_iou"] = torch.stack([found.iou for found in views.found]).mean()
        metrics["empty_masks"] = views.empty
        if config.views > 1 and config.contrastive_weight > 0:
            valid = views.valid if counted is None else views.valid & counted
            contrast, accuracy = instance_contrast(views.features, config.temperature, valid, negatives)
            loss = loss + config.contrastive_weight * contrast
            metrics["contrastive"], metrics["contrastive_accuracy"] = contrast.detach(), accuracy
        metrics["loss"] = loss.detach()
        return loss, metrics

    @torch.no_grad()
    def features(self, net: Network, batch: ClipBatch, generator: Generator, progress: float) -> Tensor:
        """`[V * B, C]` features of a group's targets, as negatives for other groups.

        A generator of the same seed gives the features that the group's own loss compares.
        """
        return self._both_ways(net, batch, generator, progress)[2].features.flatten(0, 1)

    def shown(self, net: Network, batch: ClipBatch, generator: Generator, progress: float) -> Shown:
        """Forward searches of whole frames come first, then the views, which are what is found."""
        clips, _, views, _ = self._both_ways(net, batch, generator, progress)
        side = self.net_config.search_size // self.net_config.patch
        masks = [box_mask(found.boxes, side, self.config.contrast_mask)[0] for found in views.found]
        contrasts = self.config.views > 1 and self.config.contrastive_weight > 0
        return Shown(clips.frames[:, 0], clips.boxes[:, 0], clips.sizes, views.found, masks if contrasts else [])

    def _both_ways(
        self, net: Network, batch: ClipBatch, generator: Generator, progress: float
    ) -> tuple[PastedClips, Memory, BackwardViews, dict[str, Tensor]]:
        config = self.config
        net = scheduled(net, progress, config)
        teach = teaching_share(progress, config)
        share = config.paste_share + (1 - config.paste_share) * teach
        with record_function("copy-paste"):
            if config.random_seeds > 0:
                batch = with_random_seeds(batch, config.random_seeds, generator)
            clips = copy_paste(batch, share, self.net_config.template_size, config, generator)
        with record_function("forward tracking"):
            memory, metrics = track_forward(net, clips, self.net_config, config, generator, teach)
        with record_function("backward tracking"):
            views = track_backward(net, clips, memory, self.net_config, config, generator)
        return clips, memory, views, metrics


def decoupled(net_config: NetConfig, config: ObjectiveConfig) -> Decoupled:
    """The objective for one network configuration."""
    return Decoupled(net_config, config)


@torch.no_grad()
def track_forward(
    net: Network,
    clips: PastedClips,
    net_config: NetConfig,
    config: ObjectiveConfig,
    generator: Generator,
    teach: float,
) -> tuple[Memory, dict[str, Tensor]]:
    """Track from the first frame through the whole later frames and cut a memory template from each.

    Args:
        teach: chance in 0..1 that a pasted target's templates are cut at its known boxes.

    Returns: the memory and metrics: `forward_iou` over targets whose truth is known, pasted or labelled,
    `labelled_iou` over labelled ones, `forward_score`, the shares `known_templates` and `kept_samples`.
    """
    frames, known, sizes = clips.frames, clips.boxes, clips.sizes
    box = known[:, 0]
    first = template_crops(frames[:, 0], known[:, 0], net_config, config, generator)
    taught = (uniform((len(frames),), generator) < teach) & clips.pasted
    query: Tensor | None = None
    templates, overlaps, scores = [first] if config.memory_first else [], [], []
    agreed: list[Tensor] = []
    for t in range(1, frames.shape[1]):
        region = _forward_region(clips, box, t, config, generator)
        output = net(first[:, None], crop(frames[:, t], region, net_config.search_size), query)
        query = output.query if config.carry_query else None
        best = output.maps.best_cell()
        found = from_region(output.maps.box_at(best).float(), region)
        found = clip_to_frame(found, sizes[:, 0], sizes[:, 1], min_side=1.0)
        box = found
        overlaps.append(iou(found, known[:, t]))
        scores.append(output.maps.score_at(best).float())
        # Only a pasted box, which costs no label, may stand in for a prediction.
        at = torch.where(taught[:, None], known[:, t], found)
        template = template_crops(frames[:, t], at, net_config, config, generator)
        if config.memory_agrees > 0:
            agrees = taught | _finds_back(net, template, clips, net_config, config, generator)
            template = torch.where(agrees[:, None, None, None], template, first)
            agreed.append(agrees.float().mean())
        if config.track_agrees > 0:
            unknown = ~known[:, t].isfinite().all(-1)
            agrees = taught | unknown | (overlaps[-1] >= config.track_agrees)
            template = torch.where(agrees[:, None, None, None], template, first)
            agreed.append(agrees.float().mean())
        templates.append(template)
    overlap, score = torch.stack(overlaps), torch.stack(scores).mean(0)
    is_known = known[:, 1:].isfinite().all(-1).T
    weights = torch.ones_like(score) if config.sample_weight == "equal" else score
    weights = torch.where(taught, 1.0, weights * (score >= config.score_threshold))
    metrics = {
        "forward_iou": mean_where(overlap, is_known),
        "labelled_iou": mean_where(overlap, is_known & ~clips.pasted),
        "forward_score": score.mean(),
        "known_templates": taught.float().mean(),
        "kept_samples": (weights > 0).float().mean(),
    }
    if agreed:
        metrics["agreed"] = torch.stack(agreed).mean()
    return Memory(torch.stack(templates, dim=1), query, weights), metrics


def with_random_seeds(batch: ClipBatch, share: float, generator: Generator) -> ClipBatch:
    """The group with random textured boxes in place of about `share` (0..1) of its seed boxes. Labels of later frames
    belong to the seed, so samples that lose it have none."""
    boxes = random_boxes(batch.sizes, generator)
    drawn = (uniform((len(boxes),), generator) < share) & textured(batch.frames[:, 0], boxes)
    seeds = torch.where(drawn[:, None], boxes, batch.seeds)
    return replace(batch, seeds=seeds, boxes=torch.where(drawn[:, None, None], torch.nan, batch.boxes))


def _forward_region(clips: PastedClips, last: Tensor, t: int, config: ObjectiveConfig, generator: Generator) -> Tensor:
    """Where forward tracking looks in frame `t`: square regions `[B, 4]` (xywh pixels)."""
    if config.forward_factor == 0:
        return whole_frame_region(clips.sizes)
    # A pasted target jumps anywhere between frames: it is looked for near where it is, off by up to a third.
    region = square_region(torch.where(clips.pasted[:, None], clips.boxes[:, t], last), config.forward_factor)
    shift = uniform((len(region), 2), generator, -1 / 3, 1 / 3) * region[:, 2:] * clips.pasted[:, None]
    return torch.cat((region[:, :2] + shift, region[:, 2:]), dim=1)


def _finds_back(
    net: Network,
    template: Tensor,
    clips: PastedClips,
    net_config: NetConfig,
    config: ObjectiveConfig,
    generator: Generator,
) -> Tensor:
    """`[B]` bool: whether a later frame's template finds the target in a view of the first frame again."""
    view, target = search_view(clips.frames[:, 0], clips.boxes[:, 0], net_config, config, generator)
    maps = net(template[:, None], view).maps
    return iou(maps.box_at(maps.best_cell()).float(), target) >= config.memory_agrees


def track_backward(
    net: Network,
    clips: PastedClips,
    memory: Memory,
    net_config: NetConfig,
    config: ObjectiveConfig,
    generator: Generator,
) -> BackwardViews:
    """Find the target in augmented views of the first frame from the memory templates alone."""
    query = memory.query
    changes, owners = parse_changes(config.paste_changes), torch.arange(len(clips.boxes), device=clips.boxes.device)
    cuts = crop(clips.frames[:, 0], clips.boxes[:, 0], PATCH) if config.view_distractors else clips.frames[:, 0]
    found: list[Localisation] = []
    features: list[Tensor] = []
    empties: list[Tensor] = []
    for _ in range(config.views):
        view, target = search_view(clips.frames[:, 0], clips.boxes[:, 0], net_config, config, generator)
        for _ in range(config.view_distractors):
            view = lay_beside(view, target, cuts, owners, SHOWN, BESIDE, changes, generator)
        output = net(memory.templates, view, query)
        query = output.query.detach() if config.carry_query else None
        found.append(localise(output.maps, target, config))
        mask, empty = box_mask(found[-1].boxes, output.maps.score.shape[-1], config.contrast_mask)
        features.append(masked_mean(output.search, mask))
        empties.append(empty)
    empty = torch.stack(empties)
    valid = torch.ones_like(empty[0]) if config.contrast_mask == "box" else ~empty.any(0)
    return BackwardViews(found, torch.stack(features), valid, empty.float().mean())
