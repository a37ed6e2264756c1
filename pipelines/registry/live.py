"""The MLflow record of a training while it goes on.

A thread of its own sends what the training hands over, so a slow or missing MLflow server neither slows nor ends a
training: rows wait, a warning says so once, and they are sent when the server is back.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import SSTrackError
from pipelines.registry.machine import MachineMetrics
from pipelines.registry.runs import TrainingRun

log = logging.getLogger(__name__)

_OUTAGES = (MlflowException, SQLAlchemyError, OSError)
_FILES_EVERY_S = 30.0
_FINAL_RETRY_S = 1.0

Row = Mapping[str, float]


class LiveRecord:
    """Rows in, at any rate, from any thread; `finish` says whether all of them arrived.

    Args:
        place: the store, for messages.
        open_run: finds or makes the run and writes what is known before the first step.
        send_files: keeps the pictures and profiles there are, with the run it is given.
        every: seconds between two sendings, and between samples of how busy the machine is.
    """

    def __init__(
        self,
        place: str,
        open_run: Callable[[], TrainingRun],
        send_files: Callable[[TrainingRun], None],
        every: float = 5.0,
    ) -> None:
        self._place, self._open_run, self._send_files, self._every = place, open_run, send_files, every
        self._rows: deque[tuple[int, dict[str, float], float]] = deque()
        self._machine = MachineMetrics()
        self._wake, self._tried = threading.Event(), threading.Event()
        self._ending: tuple[str, dict[str, str], float] | None = None
        self._run: TrainingRun | None = None
        self._failure: Exception | None = None
        self._behind = False
        self._files_at = 0.0
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)

    def start(self, patience: float = 20.0) -> str | None:
        """Open the run, before the training starts; its id, or None where the store does not answer in `patience`
        seconds or at all: it is opened later then.

        Raises SSTrackError for a run that cannot be this training's.
        """
        self._thread.start()
        self._tried.wait(patience)
        if isinstance(self._failure, SSTrackError):
            raise self._failure
        if self._run is None:
            log.warning("MLflow at %s does not answer; the training starts, its record waits", self._place)
            self._behind = True
            return None
        return self._run.run_id

    def add(self, row: Row) -> None:
        """Hand over the metrics of one step, `step` among them. Never waits."""
        metrics = {name: float(value) for name, value in row.items() if name != "step"}
        self._rows.append((int(row["step"]), {**metrics, **self._machine.take()}, time.time()))

    def finish(
        self, status: str, tags: Mapping[str, str] | None = None, rows: Sequence[Row] = (), patience: float = 60.0
    ) -> str:
        """Send all that waits, and end the run.

        Args:
            status: FINISHED, FAILED or KILLED.
            tags: set last of all.
            rows: all rows of the run; those that an earlier, killed process did not get off are sent with the rest.
            patience: seconds to try.

        Returns: the run's id.

        Raises SSTrackError if the record is not whole by then.
        """
        for row in rows:
            self._rows.append((int(row["step"]), {k: float(v) for k, v in row.items() if k != "step"}, time.time()))
        self._ending = status, dict(tags or {}), time.monotonic() + patience
        self._wake.set()
        if self._thread.ident is None:  # a run that is found done was never started
            self._thread.start()
        self._thread.join(patience + 1)
        if isinstance(self._failure, SSTrackError):
            raise self._failure
        if self._thread.is_alive() or self._failure is not None or self._run is None:
            raise SSTrackError(
                f"the MLflow record at {self._place} is not complete ({_first_line(self._failure) or 'no answer'}); "
                "what was trained is kept, and the same command records what is missing"
            ) from self._failure
        return self._run.run_id

    def _work(self) -> None:
        while not self._round():
            self._wake.wait(_FINAL_RETRY_S if self._ending else self._every)
            if self._ending and self._behind:
                time.sleep(_FINAL_RETRY_S)  # the event stays set from now on

    def _round(self) -> bool:
        """Send what there is; whether this was the last time."""
        ending = self._ending  # what is handed over before this was set is sent in this round
        self._machine.sample()
        try:
            self._send(ending)
        except _OUTAGES as error:
            self._failure = error
            if not self._behind:
                log.warning("MLflow at %s: %s; its rows wait, the training goes on", self._place, _first_line(error))
            self._behind = True
            return ending is not None and time.monotonic() >= ending[2]
        except Exception as error:  # noqa: BLE001  told by `start` or `finish`, in the thread that can act on it
            self._failure = error
            return True
        finally:
            self._tried.set()
        if self._behind:
            log.info("MLflow at %s answers again; nothing waits", self._place)
        self._behind, self._failure = False, None
        return ending is not None

    def _send(self, ending: tuple[str, dict[str, str], float] | None) -> None:
        if self._run is None:
            self._run = self._open_run()
        while self._rows:
            step, metrics, at = self._rows.popleft()
            self._run.log_metrics(metrics, step, at)
        self._run.flush()
        if ending or time.monotonic() - self._files_at >= _FILES_EVERY_S:
            self._send_files(self._run)
            self._files_at = time.monotonic()
        if ending:
            status, tags, _ = ending
            self._run.finish(status)
            if tags:
                self._run.set_tags(tags)


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().splitlines()[0][:300] if error is not None and str(error).strip() else ""
