"""What is due after which step of a training: a pure function of the recipe and the number of steps done."""

from dataclasses import dataclass

from sstrack.configs.recipe import Recipe

METRICS_EVERY = 10
"""Most steps whose metrics are averaged into one row of `metrics.jsonl`."""


@dataclass(frozen=True)
class Due:
    """What is due after one step, whatever validation says then."""

    probe: bool
    """Measure how the network uses its templates."""
    look: bool
    """Look at the held-out clips."""
    row: bool
    """Write a row of metrics."""
    save: bool
    """Write a checkpoint."""


@dataclass(frozen=True)
class Schedule:
    """The rhythm of one training."""

    steps: int
    probe_every: int
    """0: never."""
    look_every: int
    """0: never."""
    save_every: int

    @classmethod
    def of(cls, recipe: Recipe) -> "Schedule":
        return cls(
            steps=recipe.optim.steps,
            probe_every=recipe.objective.template_use_every,
            look_every=recipe.validation.every if recipe.validation.share > 0 else 0,
            save_every=recipe.checkpoint_every,
        )

    def after(self, done: int) -> Due:
        """What is due once `done` steps (1, 2, …) are done. The last step is due everything that ever is."""
        last = done == self.steps

        def falls(every: int) -> bool:
            return every > 0 and (last or done % every == 0)

        look, save = falls(self.look_every), falls(self.save_every)
        # Also where a checkpoint is, so that a run that goes on from it gives the same rows.
        return Due(falls(self.probe_every), look, falls(METRICS_EVERY) or look or save, save)
