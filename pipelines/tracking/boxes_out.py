"""Text files of boxes that grow frame by frame and appear under their names when they are complete."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
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
        self._drafts = [path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in paths]

    def __enter__(self) -> "BoxesOut":
        self._open: list[TextIO] = []
        try:
            for path, draft in zip(self._paths, self._drafts, strict=True):
                with storage.explained(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._open.append(draft.open("w"))
        except BaseException:
            self._remove()
            raise
        return self

    def add(self, boxes: Sequence[Box]) -> None:
        """One line `x,y,w,h` to each file."""
        for path, file, box in zip(self._paths, self._open, boxes, strict=True):
            with storage.explained(path):
                file.write(",".join(f"{value:.3f}" for value in box) + "\n")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                for path, draft, file in zip(self._paths, self._drafts, self._open, strict=True):
                    with storage.explained(path):
                        file.flush()
                        os.fsync(file.fileno())
                        draft.replace(path)
        finally:
            self._remove()

    def _remove(self) -> None:
        with ExitStack() as closing:
            for draft in self._drafts:
                closing.callback(draft.unlink, missing_ok=True)
            for file in self._open:
                closing.callback(file.close)
