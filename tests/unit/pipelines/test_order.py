"""Sample order: every clip once per epoch, in an order that the seed decides."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.dataset.order import SampleOrder


@given(st.integers(1, 200), st.integers(0, 2**31), st.text(max_size=8))
def test_every_epoch_shows_every_clip_once_and_in_a_new_order(n: int, seed: int, digest: str) -> None:
    order = SampleOrder(n, digest, seed)
    epochs = [[order.clip(epoch * n + i) for i in range(n)] for epoch in range(2)]
    assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
    assert n < 6 or epochs[0] != epochs[1]


@given(st.integers(6, 200), st.integers(0, 5000), st.integers(0, 2**31))
def test_a_sample_is_the_same_whatever_was_asked_before(n: int, sample: int, seed: int) -> None:
    warm = SampleOrder(n, "data", seed)
    for other in range(0, 3 * n, 7):
        warm.clip(other)
    assert warm.clip(sample) == SampleOrder(n, "data", seed).clip(sample)
