"""Local tracking as published: a search region at the last box, a Hann window on the score map, template memory.

A tracker holds no state of a sequence; the caller holds it and nothing leaks between sequences. Many sequences advance
in one batch with `step_many`; `step` is the same with one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sstrack.boxes import clip_to_frame, cxcywh_to_xywh, xywh_to_cxcywh
from sstrack.configs.tracking import TrackingConfig
from sstrack.crops import crop, from_region, square_region, to_region, whole_frame_region
from sstrack.models.head import HeadMaps
from sstrack.models.tracker_net import TrackerNet
from sstrack.templates import with_target
from sstrack.tracking.memory import TemplateMemory
from sstrack.tracking.network import forward_of
from sstrack.tracking.rgb import as_rgb
from sstrack.tracking.state import Prediction, TrackerState

_LEAST_SIDE = 4.0
"""Smallest side of a predicted box in pixels."""


@dataclass(frozen=True)
class _Found:
    """What one search gave: boxes `[B, 4]` xywh in pixels, scores `[B]`, query outputs `[B, C]`."""

    boxes: Tensor
    scores: Tensor
    queries: Tensor


class Tracker:
    """Tracks any number of sequences, one state each."""

    def __init__(
        self, net: TrackerNet, config: TrackingConfig, *, compiled: bool = False, graphed: bool = False
    ) -> None:
        """`config` is best `Recipe.tracking_as_trained`: where it does not name `carry_frames`, the query is never
        carried. `compiled` and `graphed` make the network faster after a slow start, see `forward_of`, which also says
        what it raises."""
        self.net = net.eval()
        self.config = config
        self._forward = forward_of(self.net, config.precision, compiled=compiled, graphed=graphed)
        self._carries = config.carry_frames or 0
        self._window = torch.from_numpy(_hann(net.cells)).to(self.device) * config.hann + (1 - config.hann)

    @property
    def device(self) -> torch.device:
        """Where the network is, and all tensors of a state."""
        return self.net.mean.device

    def start(
        self,
        frame: NDArray[Any] | Tensor,
        box: ArrayLike,
        other: tuple[NDArray[Any], ArrayLike] | None = None,
    ) -> TrackerState:
        """Begin a sequence.

        Args:
            frame: `[H, W, 3]` uint8 RGB on any device, or what `as_rgb` makes that of.
            box: the target, xywh in pixels, 0-based, finite, sides above 0, overlapping the frame.
            other: first frame and box of another sequence, for a tracker whose `templates` are `swapped`.

        Raises ValueError if frame or box are not that, or if `other` is given where it is not wanted or missing.
        """
        if (other is not None) != (self.config.templates == "swapped"):
            raise ValueError(f"templates={self.config.templates!r}: another sequence's frame and box go with 'swapped'")
        state = self._start(frame, box)
        return state if other is None else replace(state, memory=self._start(*other).memory)

    def step(self, state: TrackerState, frame: NDArray[Any]) -> tuple[TrackerState, Prediction]:
        """Find the target in the next frame. Raises ValueError for a frame that `step_many` would refuse."""
        return self.step_many([state], [frame])[0]

    def check(self, state: TrackerState, frame: Tensor) -> None:
        """Raise ValueError if the picture `[H, W, 3]` is not of the size that the sequence began with."""
        height, width = frame.shape[:2]
        if (width, height) != state.size:
            raise ValueError(
                f"frame {state.frame + 1} is {width}x{height}, but the sequence began with "
                f"{state.size[0]}x{state.size[1]}: boxes are pixels of the first frame, so bring all frames to one "
                "size or start a new sequence here"
            )

    @torch.inference_mode()
    def step_many(
        self, states: Sequence[TrackerState], frames: Sequence[NDArray[Any] | Tensor]
    ) -> list[tuple[TrackerState, Prediction]]:
        """Advance several sequences by one frame each, in one batch.

        Args:
            states: one per sequence; several targets of one video give the same frame object again.
            frames: the next frame of each: what `as_rgb` takes, or a uint8 tensor `[H, W, 3]` on any device.

        Returns the new states and predictions in the same order, equal to stepping each alone within float tolerance.
        Raises ValueError for an array that is no picture, and for a frame of another size than its sequence began with.
        """
        # First of all, as a copy from a list waits for whatever the device still has to do.
        sizes = torch.tensor([state.size for state in states], dtype=torch.float32, device=self.device)
        uploaded = {id(frame): self._image(frame) for frame in frames}
        images = [uploaded[id(frame)] for frame in frames]
        for state, image in zip(states, images, strict=True):
            self.check(state, image.permute(1, 2, 0))
        boxes = torch.stack([state.box for state in states])
        region = square_region(boxes, self.net.config.search_factor)
        found = self._search(states, images, sizes, region, self._window)
        values = torch.cat((found.boxes, found.scores[:, None]), 1).tolist()  # the one wait for the device
        unsure = [
            state.unsure + 1 if row[4] < self.config.redetect_below else 0
            for state, row in zip(states, values, strict=True)
        ]
        lost = [place for place, count in enumerate(unsure) if count >= self.config.redetect_after]
        again = self._redetect(states, images, found, lost) if lost else {}
        chosen = list(zip(found.boxes, found.queries, values, strict=True))
        for place, better in again.items():
            chosen[place] = better
        memories = self._remember(states, images, [box for box, *_ in chosen], [row[4] for *_, row in chosen])
        result: list[tuple[TrackerState, Prediction]] = []
        for place, (state, (box, query, row)) in enumerate(zip(states, chosen, strict=True)):
            absent = row[4] < self.config.absent_below
            prediction = Prediction((row[0], row[1], row[2], row[3]), row[4], absent, place in again)
            count = 0 if place in again else unsure[place]
            seen = state.frame + 1
            query = query if seen % (self._carries + 1) else torch.zeros_like(query)
            result.append((TrackerState(box, memories[place], query, seen, state.size, count), prediction))
        return result

    def _start(self, frame: NDArray[Any] | Tensor, box: ArrayLike) -> TrackerState:
        image = self._image(frame)
        height, width = image.shape[-2:]
        given = np.asarray(box, dtype=np.float64)
        if given.shape != (4,) or not np.isfinite(given).all() or given[2] <= 0 or given[3] <= 0:
            raise ValueError(f"first box {given.tolist()}: need x, y, width, height, finite, with sides above 0")
        if given[0] >= width or given[1] >= height or given[0] + given[2] <= 0 or given[1] + given[3] <= 0:
            raise ValueError(f"first box {given.tolist()} lies outside the {width}x{height} frame")
        start = torch.tensor(given, dtype=torch.float32, device=self.device)
        query = torch.zeros(self.net.config.width, device=self.device)
        memory = TemplateMemory((self._templates([image], start[None])[0],))
        return TrackerState(start, memory, query, 0, (width, height))

    def _search(
        self,
        states: Sequence[TrackerState],
        images: list[Tensor],
        sizes: Tensor,
        regions: Tensor,
        window: Tensor | None,
    ) -> _Found:
        """Look for each target in its region `[B, 4]` of its frame of size `[B, 2]` (width, height)."""
        search = crop_each(images, regions, self.net.config.search_size)
        maps, queries = self._network(states, search)
        cells = maps.best_cell(window)
        boxes = from_region(maps.box_at(cells), regions)
        if self.config.smooth_size and window is not None:
            boxes = _smoothed(boxes, torch.stack([state.box for state in states]), self.config.smooth_size)
        boxes = clip_to_frame(boxes, sizes[:, 0], sizes[:, 1], min_side=_LEAST_SIDE)
        return _Found(boxes, maps.score_at(cells), queries)

    def _network(self, states: Sequence[TrackerState], search: Tensor) -> tuple[HeadMaps, Tensor]:
        """One call per number of templates, since young sequences have fewer; results in the order of `states`."""
        templates = [state.memory.choose(self.config.memory, state.frame + 1) for state in states]
        groups: dict[int, list[int]] = defaultdict(list)
        for place, chosen in enumerate(templates):
            groups[len(chosen)].append(place)
        if len(groups) == 1:
            return self._forward(*self._inputs(states, templates, search))
        parts = [
            self._forward(
                *self._inputs([states[at] for at in places], [templates[at] for at in places], search[places])
            )
            for places in groups.values()
        ]
        order = torch.tensor([place for places in groups.values() for place in places], device=search.device).argsort()
        score, offset, size = (
            torch.cat([cast(Tensor, getattr(maps, name)) for maps, _ in parts])[order]
            for name in ("score", "offset", "size")
        )
        return HeadMaps(score, offset, size), torch.cat([query for _, query in parts])[order]

    def _inputs(
        self, states: Sequence[TrackerState], templates: Sequence[Sequence[Tensor]], search: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the network takes, for sequences of equally many templates."""
        stack = torch.stack([crop for chosen in templates for crop in chosen])
        stack = stack.view(len(states), len(templates[0]), *stack.shape[1:])
        if self.config.templates == "zeroed":
            stack = torch.zeros_like(stack)
        return stack, search, torch.stack([state.query for state in states])

    def _redetect(
        self, states: Sequence[TrackerState], images: list[Tensor], found: _Found, lost: list[int]
    ) -> dict[int, tuple[Tensor, Tensor, list[float]]]:
        """Search the whole frame for lost targets, then around what that finds; kept where the second look is surer
        than the local search was. Returns box, query and the box with its score as numbers, by place."""
        seekers = [replace(states[place], query=torch.zeros_like(states[place].query)) for place in lost]
        pictures = [images[place] for place in lost]
        sizes = torch.tensor([state.size for state in seekers], dtype=torch.float32, device=self.device)
        everywhere = self._search(seekers, pictures, sizes, whole_frame_region(sizes), None)
        near = square_region(everywhere.boxes, self.net.config.search_factor)
        closer = self._search(seekers, pictures, sizes, near, None)
        rows = torch.cat((closer.boxes, closer.scores[:, None]), 1).tolist()
        before = found.scores[lost].tolist()
        return {
            place: (closer.boxes[at], closer.queries[at], rows[at])
            for at, place in enumerate(lost)
            if rows[at][4] > before[at] and rows[at][4] >= self.config.redetect_below
        }

    def _remember(
        self, states: Sequence[TrackerState], images: list[Tensor], boxes: Sequence[Tensor], scores: Sequence[float]
    ) -> list[TemplateMemory]:
        """Each sequence's memory after this frame; the crops of all are cut in one call."""
        memories = [state.memory for state in states]
        if self.config.memory == 0 or self.config.templates == "swapped":
            return memories
        places = [
            place
            for place, state in enumerate(states)
            if state.memory.wants(state.frame + 1) and scores[place] >= self.config.remember_above
        ]
        if places:
            crops = self._templates([images[place] for place in places], torch.stack([boxes[at] for at in places]))
            for place, crop in zip(places, crops, strict=True):
                memories[place] = memories[place].add(states[place].frame + 1, crop)
        return memories

    def _templates(self, images: list[Tensor], boxes: Tensor) -> list[Tensor]:
        """`[C, S, S]` around each of the boxes `[B, 4]`, each in memory of its own: a view would keep all alive."""
        net = self.net.config
        regions = square_region(boxes, net.template_factor)
        crops = with_target(crop_each(images, regions, net.template_size), to_region(boxes, regions), net)
        return [crop.clone() for crop in crops] if len(crops) > 1 else [crops[0]]

    def _image(self, frame: NDArray[Any] | Tensor) -> Tensor:
        """`[3, H, W]` uint8 on the device."""
        if not isinstance(frame, Tensor):
            frame = torch.from_numpy(as_rgb(frame))
        elif frame.dim() != 3 or frame.shape[2] != 3 or frame.dtype != torch.uint8:
            raise ValueError(
                f"frame of shape {tuple(frame.shape)} and type {frame.dtype}: need [height, width, 3] uint8"
            )
        return frame.to(self.device, non_blocking=True).permute(2, 0, 1)


def crop_each(images: Sequence[Tensor], regions: Tensor, size: int) -> Tensor:
    """One region `[B, 4]` of each image `[3, H, W]` uint8, resampled to `[B, 3, size, size]` float.

    On a GPU images of one shape are cropped in one call. On a CPU each alone: in one call every image costs what the
    one with the largest region costs, and a stack would copy whole frames.
    """
    if regions.device.type == "cpu":
        return torch.cat([crop(image[None], region[None], size) for image, region in zip(images, regions, strict=True)])
    shapes: dict[torch.Size, list[int]] = defaultdict(list)
    for place, image in enumerate(images):
        shapes[image.shape].append(place)
    if len(shapes) == 1:
        return crop(torch.stack(list(images)), regions, size)
    result = torch.empty(len(images), 3, size, size, device=regions.device)
    for places in shapes.values():
        result[places] = crop(torch.stack([images[place] for place in places]), regions[places], size)
    return result


def _smoothed(boxes: Tensor, before: Tensor, keep: float) -> Tensor:
    """Boxes `[B, 4]` with new centres, and sizes that keep the share `keep` of the sizes before."""
    now, old = xywh_to_cxcywh(boxes), xywh_to_cxcywh(before)
    return cxcywh_to_xywh(torch.cat((now[:, :2], now[:, 2:] * (1 - keep) + old[:, 2:] * keep), 1))


def _hann(side: int) -> NDArray[np.float32]:
    """`[S, S]` Hann window whose maximum lies on the middle of the map and whose border cells are above 0."""
    axis = np.hanning(side + 2)[1:-1]
    return np.outer(axis, axis).astype(np.float32)
