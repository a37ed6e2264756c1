"""The one way to register something by name: recipes, objectives, benchmarks. Knows nothing of what it holds."""

import importlib
from collections.abc import Sequence
from typing import Generic, TypeVar

from sstrack.bounds import nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries of one kind by name.

    Args:
        kind: what an entry is called in messages.
        modules: modules that add entries when they are imported, which happens at the first look.
    """

    def __init__(self, kind: str, modules: Sequence[str] = ()) -> None:
        self._kind, self._modules = kind, tuple(modules)
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> T:
        """Add `entry` and return it; a name that another entry has raises ValueError."""
        if self._entries.get(name, entry) is not entry:
            raise ValueError(f"{self._kind} {name!r} is registered twice")
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> T:
        """The entry called `name`; ValueError with the near names, or all of them, where there is none."""
        self._load()
        if name not in self._entries:
            raise ValueError(f"unknown {self._kind} {name!r}: {nearest(name, self._entries)}")
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        self._load()
        return tuple(sorted(self._entries))

    def _load(self) -> None:
        for module in self._modules:
            importlib.import_module(module)
