"""Text files of boxes that grow frame by frame and appear under their names when they are complete."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TextIO

from pipelines import storage

Box = tuple[float, float, float, float]


class BoxesOut:
    """Use as a context and `add` frames. Leaving it without an exception puts the files in place, else none is left.

    Nothing is kept in memory, so a stream may go on for ever.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """`paths`: one file per target."""
        self._paths = tuple(paths)

    def __enter__(self) -> "BoxesOut":
        self._open: list[TextIO] = []
        with ExitStack() as opening:
            for path in self._paths:
                draft = opening.enter_context(storage.new_file(path))
                with storage.explained(path):
                    self._open.append(opening.enter_context(draft.open("w")))
            self._closing = opening.pop_all()
        return self

    def add(self, boxes: Sequence[Box]) -> None:
        """One line `x,y,w,h` to each file."""
        for path, file, box in zip(self._paths, self._open, boxes, strict=True):
            with storage.explained(path):
                file.write(",".join(f"{value:.3f}" for value in box) + "\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.__exit__(kind, error, trace)
