"""Scenes rendered from photographs, with the exact box of every target in every frame.

A scene is a photograph seen by a moving camera, with textured objects (cut-outs of photographs in random blob shapes)
moving over it: one target, distractors of the same size and make, and occluders that pass in front. Training may use
the pictures as unlabeled video; the boxes serve for evaluation alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class SceneConfig:
    """What a rendered scene looks like. Sizes in pixels, speeds in pixels per frame."""

    width: int = 320
    height: int = 240
    frames: int = 60
    objects: int = 3
    """Moving objects in all; the first is the target, the others distract."""
    target_side: tuple[float, float] = (36.0, 72.0)
    """Range of the root of an object's area."""
    speed: tuple[float, float] = (1.5, 4.0)
    camera_speed: float = 1.0
    """Largest drift of the camera."""
    zoom: float = 0.15
    """Largest relative change of an object's size over the scene."""
    occluders: int = 0
    """Objects that pass in front of the target."""


@dataclass(frozen=True)
class Scene:
    """A rendered scene."""

    frames: NDArray[np.uint8]
    """`[T, H, W, 3]` RGB."""
    boxes: NDArray[np.float64]
    """`[T, 4]` xywh in pixels, 0-based: the target's tight box, occluded parts included, cut at the frame."""
    visible: NDArray[np.float64]
    """`[T]` share of the target's area that nothing covers, 0..1."""


@dataclass(frozen=True)
class _Object:
    picture: Tensor
    """`[4, P, P]`: RGB in 0..255, then opacity."""
    path: NDArray[np.float64]
    """`[T, 2]` centre of the picture in the frame."""
    side: NDArray[np.float64]
    """`[T]` drawn side of the picture."""
    angle: NDArray[np.float64]
    """`[T]` in-plane rotation in radians."""


def render_scene(photos: list[NDArray[np.uint8]], seed: int, config: SceneConfig | None = None) -> Scene:
    """Render one scene from photographs (`[H, W, 3]` uint8 each, sides of at least 64 pixels). `seed` decides all.

    Raises ValueError if there is no photograph.
    """
    if not photos:
        raise ValueError("render_scene needs at least one photograph, got none")
    config = config or SceneConfig()
    rng = np.random.default_rng(seed)
    background = _photo(photos, rng)
    regions = _camera(background, rng, config)
    objects = [_object(photos, rng, config) for _ in range(config.objects)]
    objects += [_occluder(photos, rng, config, objects[0]) for _ in range(config.occluders)]
    frames = np.empty((config.frames, config.height, config.width, 3), np.uint8)
    boxes = np.empty((config.frames, 4))
    visible = np.empty(config.frames)
    for t in range(config.frames):
        canvas = _sample(background, regions[t], config)
        target_alpha = torch.zeros(1, config.height, config.width)
        uncovered = target_alpha
        # Drawn back to front: distractors, the target, occluders.
        for i in (*range(1, config.objects), 0, *range(config.objects, len(objects))):
            layer = _draw(objects[i], t, config)
            canvas = canvas * (1 - layer[3:]) + layer[:3] * layer[3:]
            if i == 0:
                target_alpha = uncovered = layer[3:]
            else:
                uncovered = uncovered * (1 - layer[3:])
        frames[t] = canvas.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        boxes[t] = _tight_box(target_alpha[0])
        visible[t] = float(uncovered.sum() / target_alpha.sum().clamp(min=1e-6))
    return Scene(frames, boxes, visible)


def _photo(photos: list[NDArray[np.uint8]], rng: np.random.Generator) -> Tensor:
    """A photograph, mirrored or not, in a slightly shifted colour balance: `[3, H, W]` float in 0..255."""
    photo = torch.from_numpy(photos[rng.integers(len(photos))].copy()).permute(2, 0, 1).to(torch.float32)
    if rng.random() < 0.5:
        photo = photo.flip(-1)
    gains = torch.from_numpy(rng.uniform(0.7, 1.2, (3, 1, 1))).to(torch.float32)
    return (photo * gains).clamp(0, 255)


def _smooth_path(
    rng: np.random.Generator, frames: int, low: NDArray[np.float64], high: NDArray[np.float64], speed: float
) -> NDArray[np.float64]:
    """`[T, n]` path that drifts at about `speed` per frame, turns gently and bounces off `low` and `high`."""
    low, high = np.minimum(low, high), np.maximum(low, high)
    position = rng.uniform(low, high)
    heading = rng.normal(size=low.size)
    path = np.empty((frames, low.size))
    for t in range(frames):
        heading += rng.normal(scale=0.15, size=low.size)
        velocity = speed * heading / max(float(np.linalg.norm(heading)), 1e-6)
        outside = (position + velocity < low) | (position + velocity > high)
        heading = np.where(outside, -heading, heading)
        position = np.clip(position + np.where(outside, -velocity, velocity), low, high)
        path[t] = position
    return path


def _camera(background: Tensor, rng: np.random.Generator, config: SceneConfig) -> NDArray[np.float64]:
    """`[T, 4]` xywh of what the camera sees, in pixels of the photograph, of the frame's aspect."""
    photo = np.array([background.shape[2], background.shape[1]], float)
    aspect = np.array([config.width, config.height], float)
    extent = (photo / aspect).min() * rng.uniform(0.6, 0.85) * aspect
    scale = extent[0] / config.width
    corner = _smooth_path(rng, config.frames, np.zeros(2), photo - extent, config.camera_speed * rng.random() * scale)
    return np.concatenate((corner, np.broadcast_to(extent, corner.shape)), axis=1)


def _blob(rng: np.random.Generator, side: int) -> Tensor:
    """`[1, side, side]` opacity of a random smooth closed shape: a circle with a few low harmonics, stretched."""
    axis = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    stretch = float(rng.uniform(0.6, 1.0))
    x, y = (x / stretch, y) if rng.random() < 0.5 else (x, y / stretch)
    angle = torch.atan2(y, x)
    radius = torch.full_like(angle, 0.8)
    for harmonic in (2, 3, 4, 5):
        radius = radius + float(rng.uniform(-0.06, 0.06)) * torch.cos(harmonic * angle + float(rng.uniform(0, 6.28)))
    edge = 3.0 / side
    return ((radius - torch.hypot(x, y)) / edge + 0.5).clamp(0, 1)[None]


def _cut_out(photos: list[NDArray[np.uint8]], rng: np.random.Generator) -> Tensor:
    """`[4, 64, 64]`: a random square of a photograph in a random shape, its contrast raised where it is flat."""
    photo = _photo(photos, rng)
    height, width = photo.shape[1:]
    side = int(min(height, width) * rng.uniform(0.15, 0.4))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    square = photo[None, :, top : top + side, left : left + side]
    texture = F.interpolate(square, (64, 64), mode="bilinear", antialias=True, align_corners=False)[0]
    spread = texture.std().clamp(min=1.0)
    texture = (texture - texture.mean()) * (45.0 / spread).clamp(1.0, 4.0) + texture.mean()
    tint = torch.from_numpy(rng.uniform(-40, 40, (3, 1, 1))).to(torch.float32)
    return torch.cat(((texture + tint).clamp(0, 255), _blob(rng, 64)))


def _object(photos: list[NDArray[np.uint8]], rng: np.random.Generator, config: SceneConfig) -> _Object:
    picture = _cut_out(photos, rng)
    side = rng.uniform(*config.target_side) * 1.3
    steps = np.arange(config.frames) / max(config.frames - 1, 1)
    sides = side * (1 + rng.uniform(-config.zoom, config.zoom) * np.sin(2 * np.pi * (steps + rng.random())))
    margin = np.full(2, side * 0.5)
    frame = np.array([config.width, config.height], float)
    path = _smooth_path(rng, config.frames, margin, frame - margin, rng.uniform(*config.speed))
    angle = rng.uniform(-0.5, 0.5) * np.sin(2 * np.pi * (steps * rng.uniform(0.5, 1.5) + rng.random()))
    return _Object(picture, path, sides, angle)


def _occluder(
    photos: list[NDArray[np.uint8]], rng: np.random.Generator, config: SceneConfig, target: _Object
) -> _Object:
    """An object of the target's size that meets it once, in the middle part of the scene."""
    occluder = _object(photos, rng, config)
    meeting = int(rng.uniform(0.3, 0.7) * config.frames)
    direction = rng.uniform(0, 2 * np.pi)
    away = (np.arange(config.frames) - meeting)[:, None] * rng.uniform(4.0, 8.0)
    path = target.path[meeting] + away * np.array([np.cos(direction), np.sin(direction)])
    return _Object(occluder.picture, path, target.side * rng.uniform(0.6, 0.9), occluder.angle)


def _sample(photo: Tensor, region: NDArray[np.float64], config: SceneConfig) -> Tensor:
    """What the camera sees: `[3, H, W]`."""
    height, width = photo.shape[1:]
    x = (region[0] + (np.arange(config.width) + 0.5) / config.width * region[2]) / width * 2 - 1
    y = (region[1] + (np.arange(config.height) + 0.5) / config.height * region[3]) / height * 2 - 1
    grid = torch.stack(torch.meshgrid(torch.from_numpy(x), torch.from_numpy(y), indexing="xy"), -1).to(torch.float32)
    return F.grid_sample(photo[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False)[0]


def _draw(thing: _Object, t: int, config: SceneConfig) -> Tensor:
    """The object's layer in frame t: `[4, H, W]`, colour, then opacity."""
    cos, sin = float(np.cos(thing.angle[t])), float(np.sin(thing.angle[t]))
    half = float(thing.side[t]) / 2
    x = (torch.arange(config.width) + 0.5 - float(thing.path[t, 0])) / half
    y = (torch.arange(config.height) + 0.5 - float(thing.path[t, 1])) / half
    layer = torch.zeros(4, config.height, config.width)
    reach = 1.4143
    columns, rows = torch.nonzero(x.abs() < reach)[:, 0], torch.nonzero(y.abs() < reach)[:, 0]
    if len(columns) == 0 or len(rows) == 0:
        return layer
    xx, yy = torch.meshgrid(x[columns], y[rows], indexing="xy")
    grid = torch.stack((cos * xx + sin * yy, -sin * xx + cos * yy), dim=-1)
    drawn = F.grid_sample(thing.picture[None], grid[None], mode="bilinear", align_corners=False)[0]
    layer[:, int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1] = drawn
    return layer


def _tight_box(alpha: Tensor) -> tuple[float, float, float, float]:
    """xywh of the part of `[H, W]` that is more than half opaque; zeros where there is none."""
    columns = torch.nonzero((alpha > 0.5).any(0))[:, 0]
    rows = torch.nonzero((alpha > 0.5).any(1))[:, 0]
    if len(columns) == 0:
        return 0.0, 0.0, 0.0, 0.0
    left, right, top, bottom = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    return float(left), float(top), float(right - left), float(bottom - top)
