"""Our tracker as a TraX server, so that the official `vot` command can drive it, and the entry that tells it how."""

import importlib
import shlex
import sys
from pathlib import Path
from typing import Any

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.frames import read_image
from pipelines.registry.models import resolve_model

ENTRY = "trackers.ini"


def write_entry(model: str, folder: Path) -> Path:
    """Write `trackers.ini` for a VOT workspace: one tracker, `sstrack`, started as a process that speaks TraX.

    The model is resolved now, so that a mistake shows here and not inside the toolkit.
    """
    resolve_model(model)
    program = Path(sys.executable).with_name("sstrack")
    command = shlex.join([str(program), "trax", "--model", model])
    path = folder / ENTRY
    storage.write_atomic(str(path), f"[sstrack]\nlabel = SSTrack\nprotocol = trax\ncommand = {command}\n".encode())
    return path


def serve(model: str) -> int:
    """Answer a TraX client until it says quit; returns how many frames were answered.

    Boxes in and out are 0-based xywh; a frame is a path to an image. Raises SSTrackError where the protocol's package
    is not installed, or a frame cannot be read.
    """
    try:
        trax: Any = importlib.import_module("trax")  # its annotations say int where it takes floats
    except ImportError as error:
        raise SSTrackError("TraX is not installed: pip install 'sstrack[vot]'") from error
    import torch

    from sstrack.models.package import load_package
    from sstrack.tracking.tracker import Tracker

    torch.set_num_threads(1)
    net, recipe = load_package(resolve_model(model))
    tracker = Tracker(net, recipe.tracking_as_trained)
    state: Any = None
    frames = 0
    with trax.Server([trax.Region.RECTANGLE], [trax.Image.PATH], tracker_name="sstrack") as server:
        while True:
            request = server.wait()
            if request.type == trax.TraxStatus.QUIT:
                return frames
            frame = _image(request)
            if request.type == trax.TraxStatus.INITIALIZE:
                box = _given(request)
                state, score = tracker.start(frame, box), 1.0
            elif state is None:
                raise SSTrackError("the TraX client sent a frame before it said what to track")
            else:
                state, prediction = tracker.step(state, frame)
                box, score = prediction.box, prediction.score
            server.status([(trax.Rectangle.create(*(float(value) for value in box)), {"confidence": f"{score:.6f}"})])
            frames += 1


def _image(request: Any) -> Any:
    path = Path(request.image["color"].path())
    try:
        return read_image(path)
    except ValueError as error:
        raise SSTrackError(f"frame sent by the TraX client: {error}") from error


def _given(request: Any) -> tuple[float, float, float, float]:
    if len(request.objects) != 1:
        raise SSTrackError(f"this tracker follows one target; the TraX client named {len(request.objects)}")
    region, _ = request.objects[0]
    x, y, w, h = region.bounds()
    return x, y, w, h
