"""Score raw results: every sequence of the truth has a result or is accounted for."""

from collections.abc import Sequence

from sstrack.benchmarks.registry import Benchmark
from sstrack.benchmarks.scores import Counted, Results, Rule, Scores
from sstrack.benchmarks.sequence import Truth

MISSING_SKIPPED = "sequences without a result, left out"
MISSING_ZERO = "sequences without a result, scored 0"
EXTRA = "files that belong to no sequence, left out"


def score_results(
    entry: Benchmark, truths: Sequence[Truth], results: Results, rule: Rule, *, partial: bool = False
) -> Scores:
    """Scores of `results` under `rule`.

    Args:
        entry: the benchmark, for messages and for what it expects.
        truths: annotation of the sequences to score.
        results: a tracker's raw results.
        rule: one of the benchmark's.
        partial: leave out sequences that have no result (and count them) instead of refusing.

    Raises ValueError where a sequence has no result and neither rule nor `partial` says what to do, where truth is one
    box only, or where a result does not fit its sequence.
    """
    counted = Counted()
    unlabelled = [truth.name for truth in truths if len(truth) == 1]
    if unlabelled:
        raise ValueError(
            f"{unlabelled[0]} has one box only ({len(unlabelled)} such sequences): the truth of this set is on the "
            "benchmark's server; write a submission instead"
        )
    missing = [truth.name for truth in truths if not results.has(truth.name)]
    if len(missing) == len(truths):
        raise ValueError(f"no result of {entry.name} found: expected a file per sequence, say {truths[0].name}.txt")
    if missing and rule.missing_is_zero:
        counted[MISSING_ZERO] = len(missing)
    elif missing and partial:
        counted[MISSING_SKIPPED] = len(missing)
        truths = [truth for truth in truths if results.has(truth.name)]
    elif missing:
        shown = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise ValueError(f"no result for {len(missing)} of {len(truths)} sequences: {shown}")
    if results.extra:
        counted[EXTRA] = len(results.extra)
    for truth in truths:
        counted.update(truth.notes)
    if entry.expected and len(truths) + counted[MISSING_SKIPPED] < entry.expected:
        counted[f"sequences of the published set of {entry.expected} that the ground truth lacks"] = (
            entry.expected - len(truths) - counted[MISSING_SKIPPED]
        )
    return rule.score(truths, results, counted)
