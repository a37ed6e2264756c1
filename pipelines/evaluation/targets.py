"""Benchmarks that are to be run, opened: what is wrong with one is said before anything trains or tracks."""

import logging
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.roots import local_root
from sstrack.benchmarks.registry import Benchmark, benchmark
from sstrack.benchmarks.scores import Rule
from sstrack.benchmarks.sequence import Sequence

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """One benchmark under one root."""

    entry: Benchmark
    root: Path
    """On this machine."""
    sequences: list[Sequence]
    rule: Rule | None
    """None where the truth is kept on a server."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the published set that the root lacks."""
        here = {sequence.name for sequence in self.sequences}
        return tuple(name for name in self.entry.official if name not in here)

    @property
    def availability(self) -> str:
        """How much of the published set is here, in words; empty where all is, or where no set is fixed."""
        lacking = max(self.entry.expected - len(self.sequences), 0)
        if not lacking:
            return ""
        names = f": {', '.join(self.missing[:5])}{' …' if len(self.missing) > 5 else ''}" if self.missing else ""
        here = f"{len(self.sequences)} of the {self.entry.expected} sequences of {self.entry.name} are here"
        return f"{here}, {lacking} are missing{names}"


def open_target(name: str, root: str, rule: str | None = None) -> Target:
    """The registered benchmark `name` with all its sequences under `root`, local or s3://.

    Raises:
        UsageError: no such benchmark or rule.
        SSTrackError: a root that is missing, or not in the benchmark's layout.
    """
    try:
        entry = benchmark(name)
        if rule is not None:
            entry.rule(rule)
    except ValueError as error:
        raise UsageError(str(error)) from error
    folder = local_root(root)
    try:
        sequences = entry.read(folder)
    except ValueError as error:
        raise SSTrackError(f"benchmark {name}: {error}. Expected layout: {entry.layout}") from error
    scorable = bool(entry.rules) and any(len(s.truth) > 1 for s in sequences)
    return Target(entry, folder, sequences, entry.rule(rule) if scorable else None)


def check_targets(roots: Many[tuple[str, str]], rule: str | None = None) -> None:
    """Refuse benchmarks (names with roots) that could not be measured, all of them in one message."""
    _together([_wrong(name, root, rule) for name, root in roots])


def check_judge(name: str, root: str) -> None:
    """Refuse a benchmark that cannot judge a retrained model: it is compared, sequence by sequence, with a box that
    never moves, so trackers have to run in one pass and the truth has to be here."""
    target = open_target(name, root)
    if target.entry.protocol != "one_pass":
        raise UsageError(
            f"benchmark {name} restarts trackers, and a model is judged against a box that never moves: choose one "
            "whose protocol is one pass (sstrack benchmarks lists them)"
        )
    if target.rule is None:
        raise UsageError(f"benchmark {name} keeps its truth on a server, so no model can be judged on it here")


def _wrong(name: str, root: str, rule: str | None) -> SSTrackError | None:
    try:
        said = open_target(name, root, rule).availability
    except SSTrackError as error:
        return error
    if said:
        log.info("%s", said)
    return None


def _together(errors: list[SSTrackError | None]) -> None:
    found = [error for error in errors if error is not None]
    if len(found) == 1:
        raise found[0]
    if found:
        kind = UsageError if all(isinstance(error, UsageError) for error in found) else SSTrackError
        raise kind("; ".join(str(error) for error in found))
