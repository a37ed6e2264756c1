"""The order of samples: permutations, the same for any number of ranks, mixed by windows, weights kept."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dataset.draws import Permutation, seed_words
from pipelines.dataset.mixture import BLOCK, Mixture
from pipelines.dataset.orders import Order, order_named
from pipelines.dataset.orders.whole import Whole
from pipelines.dataset.orders.windowed import Windowed

orders = st.one_of(
    st.builds(Whole, st.integers(1, 90), st.just("data"), st.integers(0, 99)),
    st.builds(Windowed, st.integers(1, 90), st.just("data"), st.integers(0, 99), st.integers(1, 9), st.integers(1, 14)),
)


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**31))
def test_a_computed_permutation_is_one(n: int, seed: int) -> None:
    permutation = Permutation(n, seed_words(seed))
    assert sorted(permutation[i] for i in range(n)) == list(range(n))


@settings(deadline=None)
@given(orders)
def test_every_epoch_shows_every_clip_once(order: Order) -> None:
    for epoch in range(3):
        assert sorted(order.clip(epoch * order.n + i) for i in range(order.n)) == list(range(order.n))


@pytest.mark.parametrize("name", ["whole", "windowed"])
def test_epochs_seeds_and_data_give_other_orders(name: str) -> None:
    def epoch(order: Order, number: int) -> list[int]:
        return [order.clip(number * 100 + i) for i in range(100)]

    each = [order_named(name, 100, data, seed) for data, seed in (("a", 1), ("a", 2), ("b", 1))]  # type: ignore[arg-type]
    seen = [tuple(epoch(order, number)) for order in each for number in range(2)]
    assert len(set(seen)) == len(seen)


def test_the_whole_order_is_what_it_was() -> None:
    """Written down when there were no names yet: trainings on a local disk keep their samples."""
    order = order_named("whole", 10, "data", 1)
    shown = [6, 4, 1, 3, 2, 8, 0, 5, 7, 9, 4, 3, 2, 9, 6, 0, 5, 7, 1, 8]
    assert [order.clip(sample) for sample in range(20)] == shown


@settings(deadline=None)
@given(orders, st.integers(0, 300))
def test_samples_come_from_the_window_that_is_at_hand(order: Order, sample: int) -> None:
    windows = order.windows(sample)
    here = next(windows)
    assert any(order.clip(sample) in stretch for stretch in here)
    assert len(here) <= order.window
    later = sample
    while any(order.clip(later) in stretch for stretch in here) and later < sample + 2 * order.n:
        later += 1
    following = next(windows)
    while set(following) == set(here) and len(order.stretches) > order.window:  # as an epoch may begin
        following = next(windows)
    assert any(order.clip(later) in stretch for stretch in (*here, *following))


def plan(world: int, groups: int, first: int, last: int) -> dict[tuple[int, int], list[int]]:
    """The samples of each (step, group) as the ranks of a world would ask for them, each rank on its own."""
    found: dict[tuple[int, int], list[int]] = {}
    for rank in range(world):
        order = Windowed(53, "data", 1, stretch=9, window=2)
        for step, group in itertools.product(range(first, last), range(rank, groups, world)):
            assert (step, group) not in found
            found[step, group] = [order.clip((step * groups + group) * 4 + i) for i in range(4)]
    return found


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 5)), min_size=1, max_size=4))
def test_any_worlds_one_after_the_other_see_the_same_groups(runs: list[tuple[int, int]]) -> None:
    """Each run is a world size and the steps it lasts; resuming needs the step alone."""
    found, step = {}, 0
    for world, steps in runs:
        found |= plan(world, 8, step, step + steps)
        step += steps
    assert found == plan(1, 8, 0, step)


def test_eight_then_three_then_four_ranks_in_mid_epoch() -> None:
    parts = [plan(world, 8, first, last) for world, first, last in ((8, 0, 1), (3, 1, 2), (4, 2, 4))]
    joined = {key: clips for part in parts for key, clips in part.items()}
    assert joined == plan(1, 8, 0, 4) and len(joined) == 32


def mixing(order: Order, epoch: int = 0) -> float:
    """How far an epoch moves clips from their place in the table, over what a uniform shuffle does: 1.0 is as good.

    The mean displacement of a uniform shuffle of n places is (n² - 1) / 3n.
    """
    n = order.n
    moved = sum(abs(order.clip(epoch * n + position) - position) for position in range(n)) / n
    return moved / ((n * n - 1) / (3 * n)) if n > 1 else 1.0


def test_windows_mix_like_a_uniform_shuffle() -> None:
    figures = [mixing(order_named("windowed", 16_000, "data", seed)) for seed in range(4)]
    assert np.mean(figures) == pytest.approx(1.0, abs=0.05)
    unmixed = Whole(100, "data", 0)
    unmixed.clip = lambda sample: sample  # type: ignore[method-assign]
    assert mixing(unmixed) == 0


@settings(deadline=None)
@given(st.lists(st.floats(0.05, 10), min_size=1, max_size=5), st.integers(0, 9))
def test_a_mixture_keeps_its_weights_and_counts_each_dataset_on(weights: list[float], seed: int) -> None:
    mixture = Mixture(weights, seed)
    places = [mixture.place(sample) for sample in range(2 * BLOCK)]
    for dataset, weight in enumerate(weights):
        own = [number for where, number in places if where == dataset]
        assert own == list(range(len(own)))
        assert abs(len(own) / (2 * BLOCK) - weight / sum(weights)) <= 1 / BLOCK
    again = Mixture(weights, seed)
    assert [again.place(sample) for sample in range(1500, 1600)] == places[1500:1600]


@pytest.mark.parametrize("weights", [[], [1, 0], [1, -1], [1, float("nan")], [1, 1e-9]])
def test_weights_that_mean_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        Mixture(weights, 0)


def test_an_order_of_no_clips_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one clip"):
        order_named("whole", 0, "data", 0)
