"""What is due after which step, and what a row of metrics is made of."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.training.meter import RowMeter
from pipelines.training.schedule import METRICS_EVERY, Due, Schedule
from sstrack.recipes import recipe

NOTHING = Due(probe=False, look=False, row=False, save=False)
EVERY = st.integers(0, 40)


@pytest.mark.parametrize(
    ("done", "due"),
    [
        (1, NOTHING),
        (8, Due(probe=True, look=False, row=False, save=False)),
        (9, Due(probe=False, look=True, row=True, save=False)),
        (10, Due(probe=False, look=False, row=True, save=False)),
        (14, Due(probe=False, look=False, row=True, save=True)),
        (24, Due(probe=True, look=False, row=False, save=False)),
        (25, Due(probe=True, look=True, row=True, save=True)),
    ],
)
def test_a_recipe_says_what_is_due(done: int, due: Due) -> None:
    given = {"optim.steps": 25, "checkpoint_every": 7, "objective.template_use_every": 8}
    given |= {"validation.share": 0.1, "validation.every": 9}
    assert Schedule.of(recipe("tiny_cpu", given)).after(done) == due


def test_nothing_is_looked_at_where_nothing_is_held_out() -> None:
    schedule = Schedule.of(recipe("tiny_cpu", {"optim.steps": 25, "validation.every": 5}))
    assert not any(schedule.after(done).look for done in range(1, 26))


@given(st.integers(1, 60), EVERY, EVERY, st.integers(1, 40))
def test_every_step_that_is_kept_or_looked_at_has_a_row_and_the_last_one_is_kept(
    steps: int, probe: int, look: int, save: int
) -> None:
    schedule = Schedule(steps, probe, look, save)
    dues = [schedule.after(done) for done in range(1, steps + 1)]
    assert all(due.row for due in dues if due.look or due.save)
    assert dues[-1] == Due(probe > 0, look > 0, row=True, save=True)
    rows = [done for done, due in enumerate(dues, 1) if due.row]
    assert max(after - before for before, after in zip([0, *rows], rows, strict=False)) <= METRICS_EVERY


def test_a_row_holds_means_since_the_last_one_and_its_own_speed() -> None:
    meter = RowMeter(1, torch.device("cpu"), samples_per_step=6)
    meter.begin(4)
    for loss, overlap in ((1.0, math.nan), (2.0, 0.5)):
        meter.note("loss", torch.tensor(loss, requires_grad=True))
        meter.note("overlap", overlap)
    with meter.waiting():
        pass
    row = meter.row(6, {"validation_loss": 3.0})
    assert (row["loss"], row["overlap"], row["validation_loss"]) == (1.5, 0.5, 3.0)
    assert row["samples_per_s"] > 0 and 0 <= row["data_wait"] <= 1
    assert meter.row(7, {}).keys() == {"samples_per_s", "data_wait"}
