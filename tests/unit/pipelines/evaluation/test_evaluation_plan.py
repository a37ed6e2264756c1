"""Pieces of about equal work."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluation.plan import balanced_pieces


@dataclass(frozen=True)
class Item:
    name: str
    frames: int

    def __len__(self) -> int:
        return self.frames


ITEMS = st.lists(st.integers(1, 500), max_size=30).map(lambda sizes: [Item(str(i), n) for i, n in enumerate(sizes)])


@given(ITEMS, st.integers(1, 8))
def test_every_sequence_is_in_exactly_one_piece_and_no_piece_is_empty(items, pieces):
    made = balanced_pieces(items, pieces)
    assert sorted((item for piece in made for item in piece), key=lambda item: int(item.name)) == items
    assert all(made)
    assert len(made) <= pieces


@given(ITEMS, st.integers(1, 8))
def test_the_heaviest_piece_exceeds_the_mean_by_at_most_one_sequence(items, pieces):
    loads = [sum(map(len, piece)) for piece in balanced_pieces(items, pieces)]
    if loads:
        assert max(loads) <= sum(loads) / len(loads) + max(map(len, items))


@given(ITEMS, st.randoms(use_true_random=False))
def test_the_order_of_sequences_does_not_matter(items, random):
    shuffled = random.sample(items, len(items))
    assert balanced_pieces(shuffled, 3) == balanced_pieces(items, 3)
