"""Which clip the n-th sample of a training shows: a pure function of the clips, the seed, and n.

Clips are numbered as in their table, whose digest (`data_digest`) leaves out where they lie, so an order is the same
for a local and a remote copy and outlives a compaction. Samples are numbered globally, so it does not depend on the
number of ranks or workers, and the whole state of a loader is one integer. Every epoch is a new permutation, by
construction: the epoch follows from the sample's number.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from pipelines.dataset.orders.whole import Whole
from pipelines.dataset.orders.windowed import Windowed


class Order(Protocol):
    """One way to shuffle."""

    n: int
    """Clips."""
    stretches: Sequence[range]
    """The table in pieces that stay together."""
    window: int
    """Pieces that are shuffled together."""

    def clip(self, sample: int) -> int:
        """Index in 0..n-1 of the clip that global sample number `sample` shows."""
        ...

    def windows(self, sample: int) -> Iterator[tuple[range, ...]]:
        """The clips among which `sample` is drawn, as ranges of the table, then those of the windows after it, without
        end: what a reader has to have at hand, and what it needs next."""
        ...


def order_named(name: Literal["whole", "windowed"], n: int, data_digest: str, seed: int) -> Order:
    """The order that `data.order` names. Raises ValueError for no clips."""
    if n < 1:
        raise ValueError(f"order_named.n = {n}: needs at least one clip")
    return {"whole": Whole, "windowed": Windowed}[name](n, data_digest, seed)
