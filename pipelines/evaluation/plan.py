"""Cut sequences into pieces of about equal work. Pure: no files, no cluster."""

from collections.abc import Sequence as Items
from typing import Protocol, TypeVar


class _Sized(Protocol):
    @property
    def name(self) -> str: ...
    def __len__(self) -> int: ...


Item = TypeVar("Item", bound=_Sized)


def balanced_pieces(sequences: Items[Item], pieces: int) -> list[list[Item]]:
    """At most `pieces` non-empty lists whose frame counts are close: longest first, each to the lightest piece.

    The result depends on names and lengths alone, not on the order of `sequences`.
    """
    if pieces < 1:
        raise ValueError(f"pieces must be at least 1, got {pieces}")
    filled: list[list[Item]] = [[] for _ in range(min(pieces, len(sequences)))]
    loads = [0] * len(filled)
    for sequence in sorted(sequences, key=lambda item: (-len(item), item.name)):
        lightest = loads.index(min(loads))
        filled[lightest].append(sequence)
        loads[lightest] += len(sequence)
    return filled
