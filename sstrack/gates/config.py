"""What a challenger has to reach, each field with its bounds and its help."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from sstrack.bounds import check


def _bounded(default: float, low: float, high: float, help: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "help": help})


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Floors, and how sure a win over the champion has to be. AO in percent, margins in percentage points.

    ValueError for a value out of bounds. `fields_of_gate` lists bounds and help.
    """

    min_ao: float = _bounded(10.0, 0.0, 100.0, "Floor under the mean AO, on every benchmark.")
    margin_untrained: float = _bounded(1.0, 0.0, 100.0, "How far above its own untrained start, on every benchmark.")
    margin_static: float = _bounded(1.0, 0.0, 100.0, "How far above the box that never moves, on every benchmark.")
    min_template_lead: float = _bounded(
        0.1, -1.0, 1.0, "Floor under the lead of the right template over blank and foreign ones, where it is known."
    )
    min_fps: float = _bounded(0.0, 0.0, 100_000.0, "Floor under the frames tracked per second; 0 for none.")
    min_sequences: int = _bounded(10, 7, 100_000, "Fewer sequences than this decide nothing.")
    min_gain: float = _bounded(0.5, 0.0, 100.0, "Mean gain over the champion that is worth a change.")
    max_loss: float = _bounded(2.0, 0.0, 100.0, "Largest mean loss against the champion on any one benchmark.")
    false_promotions: float = _bounded(
        0.05, 1e-6, 0.5, "Chance that any of all challengers that are no better ever replaces the same champion."
    )
    primary: str = field(
        default="", metadata={"help": "The benchmark that decides; empty pools all, each weighing the same."}
    )

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            if "low" in one.metadata:
                low, high = one.metadata["low"], one.metadata["high"]
                check(low <= getattr(self, one.name) <= high, self, one.name, f"must lie in {low:g}..{high:g}")


def fields_of_gate() -> list[dict[str, Any]]:
    """`name`, `default`, `help`, and `low` and `high` of numbers, for each field of GateConfig."""
    return [{"name": one.name, "default": one.default, **one.metadata} for one in dataclasses.fields(GateConfig)]
