"""Fields of a configuration replaced by dotted name, `optim.steps=100`, with a value that may be text."""

import dataclasses
import difflib
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def override(config: T, overrides: Mapping[str, Any]) -> T:
    """`config`, a tree of frozen dataclasses, with some fields replaced.

    Args:
        config: what to start from.
        overrides: dotted field to value, `{"optim.steps": 100}`; a string is read as the field's type.

    Raises ValueError naming the field, what is close to it, or the bound a value breaks.
    """
    changes: dict[str, Any] = {}
    for key, value in overrides.items():
        _note(changes, config, key.split("."), value, key)
    return _replace(config, changes)


def _note(changes: dict[str, Any], node: Any, path: list[str], value: Any, key: str) -> None:
    """Put one override, checked and typed, into the tree of changes."""
    names = [f.name for f in dataclasses.fields(node)]
    if path[0] not in names:
        close = difflib.get_close_matches(path[0], names, n=3, cutoff=0.5) or names
        raise ValueError(
            f"unknown recipe field {key!r}: no {path[0]!r} in {type(node).__name__}; try {', '.join(close)}"
        )
    current = getattr(node, path[0])
    if dataclasses.is_dataclass(current):
        if len(path) == 1:
            raise ValueError(
                f"recipe field {key!r} is a section: name a field in it, {key}.{_first_field(current)} say"
            )
        _note(changes.setdefault(path[0], {}), current, path[1:], value, key)
    elif len(path) > 1:
        raise ValueError(f"recipe field {key!r}: {path[0]!r} is a value and has no field {path[1]!r}")
    else:
        changes[path[0]] = _coerce(value, get_type_hints(type(node))[path[0]], key)


def _replace(node: Any, changes: dict[str, Any]) -> Any:
    """All changes of a section at once, so that bounds between its fields hold for the result alone."""
    fields = {
        name: _replace(getattr(node, name), change) if dataclasses.is_dataclass(getattr(node, name)) else change
        for name, change in changes.items()
    }
    return dataclasses.replace(node, **fields)


def _first_field(node: Any) -> str:
    return dataclasses.fields(node)[0].name


def _coerce(value: Any, wanted: Any, key: str) -> Any:
    """`value` as the field's type; strings come from the command line."""
    origin = get_origin(wanted)
    if origin is Literal:
        if value not in get_args(wanted):
            raise ValueError(
                f"recipe field {key!r} = {value!r}: must be one of {', '.join(map(str, get_args(wanted)))}"
            )
        return value
    if origin in (Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
            return None
        wanted = next(kind for kind in get_args(wanted) if kind is not type(None))
    try:
        if wanted is bool:
            return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]
        if wanted is int and float(value) != int(float(value)):
            raise ValueError
        return int(float(value)) if wanted is int else wanted(value)
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"recipe field {key!r} = {value!r}: not a {getattr(wanted, '__name__', wanted)}") from None
