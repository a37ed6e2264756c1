"""What `matching` shows the network: templates and a search region of the same target, and where it is there.

Regions are cut first and pasted into as small crops, so a step costs little beside the network's own work.

Shapes: B batch, F frames, T templates, n pasted samples, C channels, S R sides of a template and a search region, P of
a patch.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sstrack.boxes import cxcywh_to_xywh, xywh_to_cxcywh
from sstrack.configs.names import parse_changes
from sstrack.configs.net import NetConfig
from sstrack.configs.objective import ObjectiveConfig
from sstrack.crops import crop, square_region, to_region
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.beside import BESIDE, OVER, SHOWN, lay_beside
from sstrack.objectives.changes import apply_changes, uniform
from sstrack.objectives.patches import PATCH, changed, lay, log_uniform, outlined, random_boxes, textured
from sstrack.objectives.views import jittered_region
from sstrack.templates import with_target


@dataclass(frozen=True)
class Shares:
    """Samples of each kind, in this order within a group, whose own order the loader has shuffled; and templates."""

    tracked: int
    pasted: int
    templates: int

    @property
    def pastes(self) -> slice:
        """Places of pasted samples in the group."""
        return slice(self.tracked, self.tracked + self.pasted)


@dataclass(frozen=True)
class Targets:
    """What each clip of a group has to find."""

    base: Tensor
    """`[B]` index of the frame that the box is of."""
    boxes: Tensor
    """`[B, 4]` xywh in pixels."""
    cuts: Tensor
    """`[B, 3, P, P]` the targets alone."""


@dataclass(frozen=True)
class Places:
    """Boxes `[B, 4]` (xywh in pixels) on frames `[B]` of each clip."""

    frames: Tensor
    boxes: Tensor


@dataclass(frozen=True)
class Pairs:
    """What the network is shown."""

    templates: Tensor
    """`[B, T, C, S, S]`."""
    views: Tensor
    """`[B, 3, R, R]`."""
    targets: Tensor
    """`[B, 4]` xywh, normalised to the views, the centre inside."""


@dataclass(frozen=True)
class Pasted:
    """Donors' targets as each of their pictures shows them."""

    patches: Tensor
    """`[n, 1 + T, 4, P, P]`: in the view, then in each template."""
    boxes: Tensor
    """`[n, 1 + T, 4]` xywh, pixels of their hosts."""
    donors: Tensor
    """`[B]` the sample whose target is pasted, for samples that are not pasted their own."""


def frames_at(batch: ClipBatch, index: Tensor) -> Tensor:
    """`[B, 3, H, W]` uint8: one frame of each clip, by its index `[B]`."""
    return batch.frames[torch.arange(len(index), device=index.device), index]


def other_frames(base: Tensor, count: int) -> Tensor:
    """`[B, F - 1]` indices of a clip's other frames, the nearest to `base` `[B]` first."""
    away = (torch.arange(count, device=base.device)[None] - base[:, None]).abs()
    return away.argsort(dim=1, stable=True)[:, 1:]


def choose_targets(batch: ClipBatch, config: ObjectiveConfig, generator: Generator) -> Targets:
    """Seed boxes on first frames or, in `random_targets` of the samples, random textured boxes on any frame."""
    b, f = batch.frames.shape[:2]
    wanted = uniform((b,), generator) < config.random_targets
    frame = torch.where(wanted, torch.randint(0, f, (b,), generator=generator, device=generator.device), 0)
    drawn = random_boxes(batch.sizes, generator)
    wanted = wanted & textured(frames_at(batch, frame), drawn)
    base = torch.where(wanted, frame, 0)
    boxes = torch.where(wanted[:, None], drawn, batch.seeds)
    return Targets(base, boxes, crop(frames_at(batch, base), boxes, PATCH))


def paste_targets(
    batch: ClipBatch, targets: Targets, shares: Shares, config: ObjectiveConfig, generator: Generator
) -> Pasted:
    """Draw donors, and how and where their targets lie in the view and the templates of their hosts."""
    b, looks = len(targets.base), 1 + shares.templates
    away = torch.randint(1, max(b, 2), (b,), generator=generator, device=generator.device)
    own = torch.arange(b, device=away.device)
    is_host = (own >= shares.pastes.start) & (own < shares.pastes.stop)
    donors = torch.where(is_host, (own + away) % b, own)
    chosen, sizes = donors[shares.pastes], batch.sizes[shares.pastes]
    n = len(chosen)
    plain = outlined(targets.cuts[chosen], generator).repeat_interleave(looks, 0)
    patches, seen = changed(plain, parse_changes(config.paste_changes), generator)
    # A tracker's first template shows its target as it is.
    is_first = (torch.arange(n * looks, device=away.device) % looks == 1)[:, None]
    patches, seen = torch.where(is_first[..., None, None], plain, patches), torch.where(is_first, 1.0, seen)
    side = sizes.amin(-1, keepdim=True) * log_uniform((n, 1), generator, 0.08, 0.4)
    sides = torch.minimum(_stretch(targets.boxes[chosen]) * side, sizes * 0.6)
    grown = 1 + config.paste_scale * uniform((n, looks, 2), generator, -1, 1)
    sides = sides[:, None] * grown * seen.view(n, looks, 2)
    room = (sizes[:, None] - sides).clamp(min=0)
    boxes = torch.cat((room * uniform((n, looks, 2), generator), sides), dim=-1)
    return Pasted(patches.unflatten(0, (n, looks)), boxes, donors)


def template_places(
    targets: Targets, pasted: Pasted, shares: Shares, tracked: list[Places], frames: int, generator: Generator
) -> list[Places]:
    """Where each template is cut: the first of a sample that is its own self exactly at its target, further ones a
    little off, as a tracker's memory is; of tracked samples where they were found."""
    places: list[Places] = []
    others = other_frames(targets.base, frames)
    for t in range(shares.templates):
        at, frame = targets.boxes.clone(), targets.base.clone()
        if t:
            at = _a_little_off(at, generator)
            frame[shares.pastes] = others[shares.pastes, t % others.shape[1]]
        at[shares.pastes] = pasted.boxes[:, 1 + t]
        if shares.tracked:
            at[: shares.tracked], frame[: shares.tracked] = tracked[t].boxes, tracked[t].frames
        places.append(Places(frame, at))
    return places


def cut_pairs(
    batch: ClipBatch,
    targets: Targets,
    pasted: Pasted,
    places: list[Places],
    shares: Shares,
    net: NetConfig,
    config: ObjectiveConfig,
    generator: Generator,
) -> Pairs:
    """Cut, paste into and change all templates and views of a group."""
    others = other_frames(targets.base, batch.frames.shape[1])
    frame, box = targets.base.clone(), targets.boxes.clone()
    frame[shares.pastes], box[shares.pastes] = others[shares.pastes, 0], pasted.boxes[:, 0]
    view = Places(frame, box)
    views, inside = _cut_views(batch, view, targets, pasted, shares, net, config, generator)
    views, inside = apply_changes(views, inside, parse_changes(config.view_changes), generator)
    templates = _cut_templates(batch, places, pasted, shares, net, config, generator)
    return _mirrored(Pairs(templates, views, inside), generator)


def _cut_views(
    batch: ClipBatch,
    view: Places,
    targets: Targets,
    pasted: Pasted,
    shares: Shares,
    net: NetConfig,
    config: ObjectiveConfig,
    generator: Generator,
) -> tuple[Tensor, Tensor]:
    """Search regions `[B, 3, R, R]`, the target among distractors and sometimes half covered by one, and boxes."""
    pictures = frames_at(batch, view.frames)
    region = jittered_region(view.boxes, net, config, generator)
    views, inside = crop(pictures, region, net.search_size), to_region(view.boxes, region)
    changes = parse_changes(config.paste_changes)
    for _ in range(config.near_distractors):
        views = lay_beside(views, inside, targets.cuts, pasted.donors, SHOWN, BESIDE, changes, generator)
    views[shares.pastes] = lay(views[shares.pastes], pasted.patches[:, 0], inside[shares.pastes])
    chance = config.cover_share
    return lay_beside(views, inside, targets.cuts, pasted.donors, chance, OVER, changes, generator), inside


def _cut_templates(
    batch: ClipBatch,
    places: list[Places],
    pasted: Pasted,
    shares: Shares,
    net: NetConfig,
    config: ObjectiveConfig,
    generator: Generator,
) -> Tensor:
    """`[B, T, C, S, S]`."""
    pictures: list[Tensor] = []
    boxes: list[Tensor] = []
    for t, place in enumerate(places):
        region = square_region(place.boxes, net.template_factor)
        cut, inside = crop(frames_at(batch, place.frames), region, net.template_size), to_region(place.boxes, region)
        cut[shares.pastes] = lay(cut[shares.pastes], pasted.patches[:, 1 + t], inside[shares.pastes])
        pictures.append(cut)
        boxes.append(inside)
    changes = parse_changes(config.template_changes)
    flat, inside = apply_changes(torch.cat(pictures), torch.cat(boxes), changes, generator)
    return with_target(flat, inside, net).unflatten(0, (len(places), -1)).transpose(0, 1)


def _a_little_off(boxes: Tensor, generator: Generator) -> Tensor:
    """Boxes as a tracker predicts them: off by up to a tenth, larger or smaller by up to a sixth."""
    centre = xywh_to_cxcywh(boxes)
    moved = centre[:, :2] + centre[:, 2:] * uniform((len(boxes), 2), generator, -0.1, 0.1)
    return cxcywh_to_xywh(torch.cat((moved, centre[:, 2:] * log_uniform((len(boxes), 2), generator, 0.85, 1.18)), 1))


def _stretch(boxes: Tensor) -> Tensor:
    """Width and height `[n, 2]` of boxes of the same shape and of area 1."""
    sides = boxes[:, 2:].clamp(min=1.0)
    return sides / sides.prod(-1, keepdim=True).sqrt()


def _mirrored(pairs: Pairs, generator: Generator) -> Pairs:
    """Half of the pairs mirrored, templates and view alike, and every target's centre inside its view."""
    flip = uniform((len(pairs.views),), generator) < 0.5
    templates = torch.where(flip[:, None, None, None, None], pairs.templates.flip(-1), pairs.templates)
    views = torch.where(flip[:, None, None, None], pairs.views.flip(-1), pairs.views)
    centre = xywh_to_cxcywh(pairs.targets)
    x = torch.where(flip, 1 - centre[:, 0], centre[:, 0])
    middle = torch.stack((x, centre[:, 1]), dim=1).clamp(0.01, 0.99)
    return Pairs(templates, views, cxcywh_to_xywh(torch.cat((middle, centre[:, 2:]), dim=1)))
