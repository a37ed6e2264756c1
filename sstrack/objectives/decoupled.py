"""SSTrack's decoupled objective (Zheng et al., AAAI 2025).

Global forward tracking, without gradient: from the first frame's template, find the target in whole later frames and
cut memory templates at the predictions. Local backward tracking, with gradient: from those memory templates alone, find
the target in augmented views of the first frame, where its box is known. An instance contrastive term ties the views of
one target together and pushes the targets of other samples away. One network does both.
"""

from functools import partial

import torch
from torch import Generator, Tensor

from sstrack.boxes import clip_to_frame, iou
from sstrack.crops import crop, from_region, whole_frame_region
from sstrack.objectives.base import ClipBatch, Network, Objective
from sstrack.objectives.contrastive import masked_mean, nt_xent
from sstrack.objectives.copy_paste import PastedClips, copy_paste
from sstrack.objectives.losses import localise
from sstrack.objectives.views import first_frame_view, template_crops, uniform
from sstrack.recipes import NetConfig, ObjectiveConfig


def decoupled(net_config: NetConfig, config: ObjectiveConfig) -> Objective:
    """The objective for one network configuration."""
    return partial(_decoupled, net_config, config)


def _decoupled(
    net_config: NetConfig,
    config: ObjectiveConfig,
    net: Network,
    batch: ClipBatch,
    generator: Generator,
    progress: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    teach = teaching_share(progress, config)
    share = config.paste_share + (1 - config.paste_share) * teach
    clips = copy_paste(batch.frames.float(), batch.sizes, batch.seeds, share, config, generator)
    memory, query, metrics = track_forward(net, clips, batch.sizes, net_config, config, generator, teach)
    loss = torch.zeros((), device=batch.seeds.device)
    features: list[Tensor] = []
    for _ in range(config.views):
        view, target = first_frame_view(clips.frames[:, 0], clips.boxes[:, 0], net_config, config, generator)
        output = net(memory, view, query)
        query = output.query.detach()
        found = localise(output.maps, target, config)
        loss = loss + found.weighted(config)
        features.append(masked_mean(output.search, found.boxes))
        metrics["giou"] = metrics.get("giou", 0) + found.giou.detach() / config.views
        metrics["l1"] = metrics.get("l1", 0) + found.l1.detach() / config.views
        metrics["focal"] = metrics.get("focal", 0) + found.focal.detach() / config.views
        metrics["backward_iou"] = metrics.get("backward_iou", 0) + found.iou.mean() / config.views
    if config.views > 1 and config.contrastive_weight > 0:
        contrastive, accuracy = nt_xent(features[0], features[1], config.temperature)
        loss = loss + config.contrastive_weight * contrastive
        metrics["contrastive"], metrics["contrastive_accuracy"] = contrastive.detach(), accuracy
    metrics["loss"] = loss.detach()
    return loss, metrics


def teaching_share(progress: float, config: ObjectiveConfig) -> float:
    """Chance in 0..1 that memory templates come from known boxes: 1 in the curriculum's first half, then falling."""
    if config.known_templates_until == 0:
        return 0.0
    return min(1.0, max(0.0, 2 - 2 * progress / config.known_templates_until))


@torch.no_grad()
def track_forward(
    net: Network,
    clips: PastedClips,
    sizes: Tensor,
    net_config: NetConfig,
    config: ObjectiveConfig,
    generator: Generator,
    teach: float,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Track from the first frame through the whole later frames and cut a memory template from each.

    Returns: memory templates `[B, n_search, 3, S, S]`, the query output `[B, C]` of the last frame, and metrics
    (`forward_iou` over pasted targets, whose truth is known; share of templates cut at known boxes).
    """
    frames, known = clips.frames, clips.boxes
    b, later = frames.shape[0], frames.shape[1] - 1
    region = whole_frame_region(sizes)
    template = template_crops(frames[:, 0], known[:, 0], net_config, config, generator)[:, None]
    taught = (uniform((b,), generator) < teach) & clips.pasted
    query: Tensor | None = None
    memory: list[Tensor] = []
    overlaps: list[Tensor] = []
    for t in range(1, later + 1):
        output = net(template, crop(frames[:, t], region, net_config.search_size), query)
        query = output.query
        found = from_region(output.maps.box_at(output.maps.best_cell()), region)
        found = clip_to_frame(found, sizes[:, 0], sizes[:, 1], min_side=1.0)
        overlaps.append(iou(found, known[:, t])[clips.pasted])
        at = torch.where(taught[:, None], known[:, t], found)
        memory.append(template_crops(frames[:, t], at, net_config, config, generator))
    assert query is not None
    overlap = torch.cat(overlaps)
    metrics = {"known_templates": taught.float().mean()}
    if len(overlap):
        metrics["forward_iou"] = overlap.mean()
    return torch.stack(memory, dim=1), query, metrics
