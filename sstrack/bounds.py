"""Checks of configuration values: one way to say which field of what is wrong, and what would be right."""

import difflib
from collections.abc import Iterable


def check(condition: bool, owner: object, name: str, rule: str) -> None:
    """Raise ValueError "Owner.name = value: rule" unless `condition` holds."""
    if not condition:
        raise ValueError(f"{type(owner).__name__}.{name} = {getattr(owner, name)!r}: {rule}")


def nearest(name: str, known: Iterable[str]) -> str:
    """What to tell someone who asked for an unknown name: the close ones, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
