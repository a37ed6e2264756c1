"""What one can watch of a training beside its metrics: a picture every some steps, and a profile of some steps.

It changes nothing of the training, not even its random state, and what it fails to write is a warning.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.training.profiling import StepProfiler, parse_steps
from pipelines.training.step_picture import as_jpeg, draw_probe, draw_step
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.pictures import TrainingPicture
from sstrack.objectives.step import TrainStep
from sstrack.objectives.template_use import TemplateProbe

log = logging.getLogger(__name__)

VIEWS, PROFILE = "views", "profile"
"""Folders of a run."""
MOST_PICTURES = 50


@dataclass(frozen=True)
class WatchPlan:
    """What to show of a training. No part of its key: the result is the same."""

    view_every: int = 0
    """Steps between pictures; 0 for none."""
    profile: tuple[int, int] | None = None
    """First and last step to profile, counted from 1."""


def plan_watch(steps: int, view_every: int | None = None, profile: str | None = None) -> WatchPlan:
    """The plan for a training of `steps` steps: pictures by default ten times.

    Raises UsageError for a number of pictures above `MOST_PICTURES`, or a range of steps that is none.
    """
    every = -(-steps // 10) if view_every is None else view_every
    if every < 0 or (every > 0 and steps // every > MOST_PICTURES):
        raise UsageError(
            f"--view-every {every}: a run of {steps} steps keeps at most {MOST_PICTURES} pictures, so use at least "
            f"{-(-steps // MOST_PICTURES)}, or 0 for none"
        )
    return WatchPlan(every, parse_steps(profile, steps) if profile else None)


class Watch:
    """Follows the steps of one rank: `begin` before the first one, `step` after each, `close` in the end.

    Args:
        folder: the run's folder, local or s3://; gets `views/step_000100.jpg`, `views/real_000100.jpg` and
            `profile/steps_20-25.trace.json.gz`.
        plan: what to show.
        train_step: network and objective, not what DDP wraps around them.
        start: steps done before this process began.
        probes: what the network's use of its template is measured on, to be shown beside each picture.
        keeps: whether this rank writes. Others only take part where the network is sharded and needs all of them.
    """

    def __init__(
        self,
        folder: str,
        plan: WatchPlan,
        train_step: TrainStep,
        start: int,
        probes: Sequence[TemplateProbe] = (),
        *,
        keeps: bool = True,
    ) -> None:
        self._folder, self._plan, self._train_step, self._start = folder, plan, train_step, start
        self._keeps, self._probes = keeps, tuple(probes)
        self._profiler = StepProfiler(storage.join(folder, PROFILE), *plan.profile) if plan.profile and keeps else None
        # Packing a picture and putting it in a store are no work of the training's.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="views")

    def begin(self) -> None:
        """Called once before the first step."""
        if self._profiler and self._plan.profile:
            if self._start >= self._plan.profile[1]:
                log.warning("no profile: step %d was done before this training resumed", self._plan.profile[1])
            self._profiler.before(self._start + 1)

    def close(self) -> None:
        """Wait until the pictures are written; a profile that is not complete is dropped."""
        if self._profiler:
            self._profiler.abandon()
        self._writer.shutdown()

    def step(self, done: int, batch: ClipBatch, seed: int, progress: float) -> None:
        """Called after every step.

        Args:
            done: steps done.
            batch: a group of this step, on the network's device.
            seed: of the generator that the group was trained with.
            progress: 0..1, as the objective got it.
        """
        if self._profiler:
            try:
                self._profiler.after(done)
            except SSTrackError as error:
                log.warning("the profile is not kept: %s", error)
        if self._plan.view_every and done % self._plan.view_every == 0:
            picture = draw_step(self._train_step, batch, seed, progress)
            shown = {f"step_{done:06d}": (picture, f"step {done}: known boxes white, found ones green")}
            for probe in self._probes:
                words = f"step {done}: found with the right, no, and a foreign template"
                shown[f"{probe.kind}_{done:06d}"] = (draw_probe(self._train_step, probe), words)
            if self._keeps:
                for name, (drawn, words) in shown.items():
                    self._writer.submit(self._keep, drawn, name, words)
        if self._profiler:
            self._profiler.before(done + 1)

    def _keep(self, picture: TrainingPicture, name: str, words: str) -> None:
        try:
            storage.write_atomic(storage.join(self._folder, VIEWS, f"{name}.jpg"), as_jpeg(picture, words))
        except SSTrackError as error:
            log.warning("the picture %s is not kept: %s", name, error)
