"""What the gate says, as data: every check with its numbers and its sentence."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from sstrack.gates.compare import Comparison


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    """`floor`, `untrained`, `static`, `template_lead`, `speed`, `sequences`, `gain`, `sure`, `loss`, …"""
    passed: bool | None
    """None where it could not be looked at, which keeps nobody out."""
    sentence: str

    @property
    def reason(self) -> str:
        """The sentence after `passed`, `failed` or `not checked`."""
        word = "not checked" if self.passed is None else "passed" if self.passed else "failed"
        return f"{word}: {self.sentence}."


@dataclass(frozen=True)
class Verdict:
    """Passed or not, with every check, failed ones first."""

    checks: tuple[Check, ...]
    comparisons: tuple[Comparison, ...] = ()
    """With the untrained start, the static box, and the champion if there is one."""
    trial: int = 1
    """Which attempt on this champion's place it was, from 1."""
    level: float = 0.0
    """The p that a win had to stay under."""

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed is not False for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """One sentence a check."""
        return tuple(check.reason for check in self.checks)

    def with_check(self, check: Check) -> "Verdict":
        """The verdict with one more check."""
        return dataclasses.replace(self, checks=in_order((*self.checks, check)))

    def comparison(self, against: str) -> Comparison | None:
        """The comparison with `against`, None where there was none."""
        return next((each for each in self.comparisons if each.against == against), None)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"passed": self.passed, **dataclasses.asdict(self)}


def in_order(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Failed ones first, then passed ones, then those that could not be made."""
    return tuple(sorted(checks, key=lambda check: 2 if check.passed is None else int(check.passed)))
