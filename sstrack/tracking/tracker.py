"""Local tracking as published: a search region at the last box, a Hann window on the score map, template memory.

A tracker holds no state of a sequence; the caller holds it and nothing leaks between sequences.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sstrack.boxes import clip_to_frame
from sstrack.crops import crop, from_region, square_region
from sstrack.models.tracker_net import TrackerNet
from sstrack.recipes import TrackingConfig


@dataclass(frozen=True)
class Prediction:
    """Where the target is."""

    box: tuple[float, float, float, float]
    """xywh in pixels of the frame, 0-based."""
    score: float
    """Height of the score map at the chosen cell, 0..1."""


@dataclass(frozen=True)
class TrackerState:
    """All that a sequence carries from frame to frame."""

    box: Tensor
    """`[1, 4]` last box, xywh in pixels."""
    templates: tuple[Tensor, ...]
    """Template crops `[3, S, S]` so far: the first frame's, then memory, thinned to a bounded number."""
    spacing: int
    """Frames between neighbouring memory crops that are kept."""
    query: Tensor | None
    frame: int
    """Index of the last frame seen; the first is 0."""


class Tracker:
    """Tracks any number of sequences, one state each."""

    def __init__(self, net: TrackerNet, config: TrackingConfig) -> None:
        self.net = net.eval()
        self.config = config
        self._window = torch.from_numpy(_hann(net.cells)).to(self._device) * config.hann + (1 - config.hann)

    @property
    def _device(self) -> torch.device:
        return self.net.mean.device

    def start(
        self,
        frame: NDArray[np.uint8],
        box: ArrayLike,
        other: tuple[NDArray[np.uint8], ArrayLike] | None = None,
    ) -> TrackerState:
        """Begin a sequence.

        Args:
            frame: `[H, W, 3]` uint8 RGB.
            box: the target, xywh in pixels, 0-based, finite, sides above 0, overlapping the frame.
            other: first frame and box of another sequence, for a tracker whose `templates` are `swapped`.

        Raises ValueError if frame or box are not that, or if `other` is given where it is not wanted or missing.
        """
        if (other is not None) != (self.config.templates == "swapped"):
            raise ValueError(f"templates={self.config.templates!r}: another sequence's frame and box go with 'swapped'")
        state = self._start(frame, box)
        return state if other is None else replace(state, templates=self._start(*other).templates)

    def _start(self, frame: NDArray[np.uint8], box: ArrayLike) -> TrackerState:
        image = self._image(frame)
        given = np.asarray(box, dtype=np.float64)
        if given.shape != (4,) or not np.isfinite(given).all() or given[2] <= 0 or given[3] <= 0:
            raise ValueError(f"first box {given.tolist()}: need x, y, width, height, finite, with sides above 0")
        height, width = frame.shape[:2]
        if given[0] >= width or given[1] >= height or given[0] + given[2] <= 0 or given[1] + given[3] <= 0:
            raise ValueError(f"first box {given.tolist()} lies outside the {width}x{height} frame")
        start = torch.tensor(given[None], dtype=torch.float32, device=self._device)
        return TrackerState(start, (self._template(image, start),), 1, None, 0)

    @torch.inference_mode()
    def step(self, state: TrackerState, frame: NDArray[np.uint8]) -> tuple[TrackerState, Prediction]:
        """Find the target in the next frame `[H, W, 3]` uint8 RGB. Raises ValueError if the frame is not that."""
        image = self._image(frame)
        net = self.net.config
        region = square_region(state.box, net.search_factor)
        output = self.net(self._templates(state), crop(image, region, net.search_size), state.query)
        cell = output.maps.best_cell(self._window)
        height, width = frame.shape[:2]
        box = clip_to_frame(from_region(output.maps.box_at(cell), region), width, height, min_side=4.0)
        index = state.frame + 1
        templates, spacing = self._remember(state, image, box, index)
        x, y, w, h = box[0].tolist()
        prediction = Prediction((x, y, w, h), float(output.maps.score_at(cell)[0]))
        return TrackerState(box, templates, spacing, output.query, index), prediction

    def _templates(self, state: TrackerState) -> Tensor:
        """`[1, T, 3, S, S]`: the first frame's template and the midpoints of equal segments of the history."""
        memory = state.templates[1:]
        n = min(self.config.memory, len(memory))
        chosen = [memory[int((i + 0.5) * len(memory) / n)] for i in range(n)]
        templates = torch.stack((state.templates[0], *chosen))[None]
        return torch.zeros_like(templates) if self.config.templates == "zeroed" else templates

    def _remember(self, state: TrackerState, image: Tensor, box: Tensor, index: int) -> tuple[tuple[Tensor, ...], int]:
        """Add this frame's crop; halve the history when it is full, so that endless video needs bounded memory."""
        if self.config.memory == 0 or self.config.templates == "swapped" or index % state.spacing:
            return state.templates, state.spacing
        templates = (*state.templates, self._template(image, box))
        if len(templates) <= 1 + _HISTORY:
            return templates, state.spacing
        return (templates[0], *templates[2::2]), state.spacing * 2

    def _template(self, image: Tensor, box: Tensor) -> Tensor:
        net = self.net.config
        return crop(image, square_region(box, net.template_factor), net.template_size)[0]

    def _image(self, frame: NDArray[np.uint8]) -> Tensor:
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ValueError(f"frame of shape {frame.shape} and type {frame.dtype}: need [height, width, 3] uint8 RGB")
        return torch.from_numpy(np.ascontiguousarray(frame)).to(self._device).permute(2, 0, 1)[None].float()


_HISTORY = 64
"""Memory crops kept; few enough for any device, many enough that segment midpoints are exact to about 1 %."""


def _hann(side: int) -> NDArray[np.float32]:
    """`[S, S]` Hann window whose maximum lies on the middle of the map and whose border cells are above 0."""
    axis = np.hanning(side + 2)[1:-1]
    return np.outer(axis, axis).astype(np.float32)
