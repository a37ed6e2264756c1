"""The served tracker, as MLflow runs it from this file: a whole clip and its first box in, one box per frame out.

Everything it imports beside installed packages travels in the package's own code folder.
"""

from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import BaseModel


class Clip(BaseModel):
    """One request: where the frames are, and the target's box on the first of them."""

    source: str
    """A folder of images or a video file that the server can read."""
    box: list[float]
    """xywh in pixels, 0-based top-left. That there are four is checked with the rest of it, in a sentence of ours."""


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
        """Raises MlflowException in one line, which `mlflow models serve` answers with status 400, for a clip that
        cannot be read and a box that is none."""
        return [self._answer(clip) for clip in model_input]

    def _answer(self, clip: Clip) -> TrackedClip:
        try:
            return self._track(clip)
        except ValueError as error:
            raise MlflowException.invalid_parameter_value(" ".join(str(error).split())) from error

    def _track(self, clip: Clip) -> TrackedClip:
        from pipelines.frames import read_clip

        frames = read_clip(Path(clip.source))
        first = next(frames, None)
        if first is None:
            raise ValueError(f"{clip.source} has no frames")
        state = self.tracker.start(first, clip.box)
        boxes, scores = [list(clip.box)], [1.0]
        for frame in frames:
            state, prediction = self.tracker.step(state, frame)
            boxes.append([float(value) for value in prediction.box])
            scores.append(float(prediction.score))
        return TrackedClip(boxes=boxes, scores=scores)


set_model(ServedTracker())
