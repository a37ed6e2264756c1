"""Threads by the size of the network and the cores that are free."""

import os

import psutil
import pytest

from pipelines.errors import UsageError
from pipelines.threads import MOST, giga_macs, pick_threads
from sstrack.recipes import recipe


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    def of(cores: int, busy: float) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
        shares = [100.0 * min(1.0, max(0.0, busy - core)) for core in range(cores)]
        monkeypatch.setattr(psutil, "cpu_percent", lambda seconds, percpu: shares)

    return of


def test_a_small_network_has_one_thread_on_any_machine(machine):
    machine(64, 0.0)
    assert pick_threads(recipe("tiny_cpu")) == 1


@pytest.mark.parametrize(("cores", "busy", "threads"), [(2, 0.1, 2), (2, 2.3, 1), (4, 1.9, 2), (64, 3.0, MOST)])
def test_a_large_network_takes_the_cores_that_are_free(machine, cores: int, busy: float, threads: int):
    machine(cores, busy)
    assert pick_threads(recipe("b256")) == threads


def test_what_is_asked_for_wins_within_reason(machine):
    machine(2, 9.0)
    assert pick_threads(recipe("tiny_cpu"), 2) == 2
    with pytest.raises(UsageError, match="threads 99: expected 1 to 8"):
        pick_threads(recipe("b256"), 99)


def test_the_estimate_of_work_is_near_what_is_counted():
    """Multiply-adds as `bench/tracking.py` counts them, head included, elimination off."""
    for name, counted in (("tiny_cpu", 0.2), ("b256", 48.9)):
        assert giga_macs(recipe(name)) == pytest.approx(counted, rel=0.25)
