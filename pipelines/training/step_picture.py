"""What a training sees and finds at one step, as a JPEG with words on it."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.training.parallel import is_sharded
from sstrack.models.tracker_net import NetOutput
from sstrack.objectives.base import ClipBatch, Network
from sstrack.objectives.pictures import FOUND, KNOWN, TrainingPicture, probe_picture, training_picture
from sstrack.objectives.step import TrainStep
from sstrack.objectives.template_use import TemplateProbe

_STRIP = 18
"""Height in pixels of the line of words above the tiles."""
_QUALITY = 88


def draw_step(train_step: TrainStep, batch: ClipBatch, seed: int, progress: float) -> TrainingPicture:
    """The searches of a group as the network makes them now, without its dropped paths.

    Leaves the network's mode, its statistics and every generator as they are. It does not call the compiled network,
    for which this would be a shape of its own; a sharded one has to be called, by all ranks together. `seed` is that of
    the group's draws, `progress` in 0..1 the training's.
    """

    def draw(locate: Network) -> TrainingPicture:
        generator = torch.Generator(batch.frames.device).manual_seed(seed)
        return training_picture(locate, train_step.objective, batch, generator, progress)

    return _with_network(train_step, batch.frames.device, draw)


def draw_probe(train_step: TrainStep, probe: TemplateProbe) -> TrainingPicture:
    """The probe's regions with the right, no, and a foreign template, as `draw_step` calls the network."""
    return _with_network(train_step, probe.regions.device, lambda locate: probe_picture(locate, probe))


def _with_network(
    train_step: TrainStep, device: torch.device, draw: Callable[[Network], TrainingPicture]
) -> TrainingPicture:
    net = train_step.net
    call = net if is_sharded(net) else net.forward

    def locate(templates: Tensor, search: Tensor, query: Tensor | None = None, eliminate: float = 1.0) -> NetOutput:
        with torch.autocast(device.type, torch.bfloat16, enabled=train_step.precision == "bf16"):
            return call(templates, search, query, eliminate)

    was_training = net.training
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        net.eval()
        try:
            return draw(locate)
        finally:
            net.train(was_training)


def as_jpeg(picture: TrainingPicture, headline: str) -> bytes:
    """The picture with its columns' names above, its notes in the tiles, and a headline on top."""
    height, width = picture.pixels.shape[:2]
    canvas: NDArray[np.uint8] = np.full((height + 2 * _STRIP, width, 3), 24, np.uint8)
    canvas[2 * _STRIP :] = picture.pixels
    _write(canvas, headline, 4, _STRIP - 5, KNOWN)
    for column, name in enumerate(picture.columns):
        _write(canvas, name, column * picture.tile + 4, 2 * _STRIP - 5, KNOWN)
        for row, notes in enumerate(picture.notes):
            _write(canvas, notes[column], column * picture.tile + 4, 2 * _STRIP + (row + 1) * picture.tile - 5, FOUND)
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return jpeg.tobytes()


def _write(canvas: NDArray[np.uint8], words: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
    for thickness, shade in ((3, (24, 24, 24)), (1, colour)):  # a dark rim, so that it reads on any ground
        cv2.putText(canvas, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, shade, thickness, cv2.LINE_AA)
