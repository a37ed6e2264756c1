"""Where the time of some steps goes: a trace of torch's profiler, and its most expensive operators as text."""

import gzip
import tempfile
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from pipelines import storage
from pipelines.errors import UsageError

MOST_STEPS = 20
"""Steps that one trace may hold: a step of a ViT-B is about 10 MB of JSON before it is packed."""
_MOST_BYTES = 64 << 20
_ROWS = 40


def parse_steps(text: str, last: int) -> tuple[int, int]:
    """`"20-25"` -> (20, 25): steps as they are counted in the progress, from 1 to `last`, both ends included.

    Raises UsageError for anything else, and for more steps than a trace may hold.
    """
    first_word, dash, last_word = text.partition("-")
    try:
        first, end = int(first_word), int(last_word if dash else first_word)
    except ValueError:
        raise UsageError(f"--profile {text}: expected two step numbers, 20-25 say") from None
    if not 1 <= first <= end <= last:
        raise UsageError(f"--profile {text}: expected steps between 1 and the training's last, {last}, in rising order")
    if end - first >= MOST_STEPS:
        raise UsageError(
            f"--profile {text}: {end - first + 1} steps; a trace holds at most {MOST_STEPS}, so try "
            f"{first}-{first + MOST_STEPS - 1}"
        )
    return first, end


class StepProfiler:
    """Records the steps `first` to `last` (counted from 1) of this process."""

    def __init__(self, folder: str, first: int, last: int) -> None:
        self._folder, self._first, self._last = folder, first, last
        self._profile: profile | None = None
        self._started = 0

    def before(self, step: int) -> None:
        """Called before step number `step` begins; a training that resumed between the two ends starts there."""
        if self._profile is None and self._first <= step <= self._last:
            activities = [ProfilerActivity.CPU]
            if torch.cuda.is_available():
                activities.append(ProfilerActivity.CUDA)
            self._profile, self._started = profile(activities=activities, acc_events=True), step
            self._profile.start()

    def after(self, step: int) -> None:
        """Called when step number `step` is done; after the last one writes `steps_<a>-<b>.trace.json.gz` and `.txt`.

        Raises SSTrackError where they cannot be written.
        """
        if self._profile is None or step != self._last:
            return
        recorded, self._profile = self._profile, None
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        recorded.stop()
        name = f"steps_{self._started}-{step}"
        by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        table = recorded.key_averages().table(sort_by=by, row_limit=_ROWS, max_name_column_width=70)
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "trace.json"
            recorded.export_chrome_trace(str(path))
            packed = gzip.compress(path.read_bytes(), 5, mtime=0)
        if len(packed) > _MOST_BYTES:
            table += f"\nThe trace of {len(packed) >> 20} MB was not kept: profile fewer steps.\n"
        else:
            storage.write_atomic(storage.join(self._folder, f"{name}.trace.json.gz"), packed)
        storage.write_atomic(storage.join(self._folder, f"{name}.txt"), table.encode())

    def abandon(self) -> None:
        """Stop without a trace; called where a training ends before the last step to record."""
        if self._profile is not None:
            self._profile.stop()
            self._profile = None
