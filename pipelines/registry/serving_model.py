"""The served tracker, as MLflow runs it from this file: a whole clip and its first box in, one box per frame out.

Everything it imports beside installed packages travels in the package's own code folder.
"""

from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import BaseModel, Field


class Clip(BaseModel):
    """One request: where the frames are, and the target's box on the first of them."""

    source: str
    """A folder of images or a video file that the server can read."""
    box: list[float] = Field(min_length=4, max_length=4)
    """xywh in pixels, 0-based top-left."""


class TrackedClip(BaseModel):
    """One answer."""

    boxes: list[list[float]]
    """xywh per frame; the first is the given box."""
    scores: list[float]
    """Confidence per frame in 0..1; 1 on the first."""


class ServedTracker(PythonModel):
    """Loads weights.safetensors and config.json of the package once, then tracks clip after clip."""

    def load_context(self, context: PythonModelContext) -> None:
        from sstrack.models.package import load_package
        from sstrack.tracking.tracker import Tracker

        net, recipe = load_package(Path(context.artifacts["weights"]).parent)
        self.tracker = Tracker(net, recipe.tracking_as_trained)

    def predict(self, model_input: list[Clip]) -> list[TrackedClip]:
        return [self._track(clip) for clip in model_input]

    def _track(self, clip: Clip) -> TrackedClip:
        from pipelines.frames import read_clip

        frames = read_clip(Path(clip.source))
        state = self.tracker.start(next(frames), clip.box)
        boxes, scores = [list(clip.box)], [1.0]
        for frame in frames:
            state, prediction = self.tracker.step(state, frame)
            boxes.append([float(value) for value in prediction.box])
            scores.append(float(prediction.score))
        return TrackedClip(boxes=boxes, scores=scores)


set_model(ServedTracker())
