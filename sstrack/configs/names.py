"""Which objectives and appearance changes exist. Knows no torch, so that recipes are checked before it loads.

An objective `x` is the module `sstrack.objectives.x` with a function `x(net_config, config)` that returns an
`Objective`; adding one is that module and its line here. An appearance change is a function in `changes.py` and its
line here.
"""

from functools import cache

from sstrack.bounds import nearest

OBJECTIVES: dict[str, str] = {
    "cycle": "forward-backward cycle consistency with local tracking (CycleSiam, self-SDCT)",
    "decoupled": "global forward tracking, local backward tracking in views of the first frame (SSTrack)",
    "matching": "pairs that only the template tells apart: random targets, distractors beside them, own tracks",
    "single_frame": "one frame and its transformed self (S2SiamFC)",
    "supervised": "labelled boxes, where the dataset has them (OSTrack)",
    "tads": "targets cut out, transformed and pasted, so that every box is known (TADS)",
}
"""Name and what it trains from."""

CHANGES: dict[str, float] = {
    "brightness": 1.0,
    "colour": 0.5,
    "flip": 0.5,
    "grayscale": 0.05,
    "motion_blur": 0.2,
    "noise": 0.3,
    "occlusion": 0.2,
    "rotate": 0.3,
    "scale": 1.0,
    "shear": 0.3,
    "turn": 0.2,
}
"""Appearance and motion changes, and the chance of each where a recipe names none."""


def require_objective(name: str) -> None:
    """Raise ValueError with the nearest names if there is no such objective."""
    if name not in OBJECTIVES:
        raise ValueError(f"unknown objective {name!r}: {nearest(name, OBJECTIVES)}")


@cache  # objectives ask at every crop
def parse_changes(spec: str) -> tuple[tuple[str, float], ...]:
    """Names and chances from `"flip,motion_blur:0.3"`; a name without a chance has its chance in `CHANGES`.

    Raises ValueError for an unknown or repeated name, or a chance outside 0..1. An empty string asks for nothing.
    """
    parsed: dict[str, float] = {}
    for word in filter(None, (part.strip() for part in spec.split(","))):
        name, _, chance = word.partition(":")
        if name not in CHANGES:
            raise ValueError(f"unknown change {name!r} in {spec!r}: {nearest(name, CHANGES)}")
        if name in parsed:
            raise ValueError(f"change {name!r} appears twice in {spec!r}")
        try:
            parsed[name] = float(chance) if chance else CHANGES[name]
        except ValueError:
            raise ValueError(f"change {word!r} in {spec!r}: write it as name or name:chance") from None
        if not 0.0 <= parsed[name] <= 1.0:
            raise ValueError(f"change {word!r} in {spec!r}: its chance must lie in 0..1")
    return tuple(parsed.items())
