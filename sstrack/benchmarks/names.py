"""Names of sequences as files spell them."""

import re

_SAFE = re.compile(r"[^/\\\x00-\x1f]+")


def plain_name(name: str) -> str:
    """Lower case without separators: `Jogging-1`, `jogging_1` and `Jogging.1` are one name."""
    return re.sub(r"[-_.() ]", "", name.lower())


def safe_name(name: str, source: str) -> str:
    """`name` if it is one part of a path; ValueError if it leads elsewhere."""
    if not _SAFE.fullmatch(name) or name in (".", ".."):
        raise ValueError(f"{source}: {name!r} is no name of a sequence")
    return name
