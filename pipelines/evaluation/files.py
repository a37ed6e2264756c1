"""Raw results to other people's files: submissions for servers, formats of other toolkits."""

from pathlib import Path

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.results import results_folder
from pipelines.evaluation.score import find_rule, read_truths
from sstrack.benchmarks.convert import FORMATS
from sstrack.benchmarks.layouts.got10k import TEST
from sstrack.benchmarks.registry import benchmark
from sstrack.benchmarks.result_files import any_results, read_results
from sstrack.benchmarks.submissions import KINDS, got10k_zip, trackingnet_zip
from sstrack.benchmarks.tree import open_tree


def write_submission(kind: str, results: Path, out: Path, root: Path | None) -> int:
    """Write the zip for the server of `kind`, whole or not at all; returns how many clips are in it.

    Args:
        kind: `got10k` or `trackingnet`.
        results: raw results on the test set.
        out: the zip.
        root: the test set, so that lengths and, for TrackingNet, names can be checked against its frames.

    Raises:
        UsageError: another kind.
        SSTrackError: results that the server would not take; nothing is written.
    """
    if kind not in KINDS:
        raise UsageError(f"no submission for {kind!r}; there is one for {' and '.join(KINDS)}")
    entry = benchmark("got10k_test" if kind == "got10k" else "trackingnet")
    try:
        lengths = None if root is None else {s.name: len(s) for s in entry.read(root)}
        tree = open_tree(results_folder(results))
        if kind == "got10k":
            data = got10k_zip(any_results(tree, TEST), lengths)
            count = len(TEST)
        else:
            found = any_results(tree, None if lengths is None else tuple(lengths))
            data, count = trackingnet_zip(found, lengths), len(lengths if lengths is not None else found.boxes)
    except ValueError as error:
        raise SSTrackError(f"{results}: {error}") from error
    storage.write_atomic(str(out), data)
    return count


def convert_results(name: str, gt: Path, results: Path, to: str, out: Path) -> int:
    """Write raw results in format `to` into the new folder `out`, whole or not at all; returns the number of files."""
    if to not in FORMATS:
        raise UsageError(f"unknown format {to!r}; known are {', '.join(FORMATS)}")
    if out.exists():
        raise UsageError(f"{out} is there already; name a folder that is not")
    entry, _ = find_rule(name, None)
    truths = read_truths(entry, gt)
    try:
        files = FORMATS[to](read_results(results_folder(results), truths, entry.protocol), entry.name)
    except ValueError as error:
        raise SSTrackError(f"{results}: {error}") from error
    with storage.new_folder(out) as folder:
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    return len(files)
