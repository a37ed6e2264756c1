"""A training as a Ray job: submitted once, attached to where it runs, stopped where its caller is stopped."""

import json
import logging
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pipelines.errors import SSTrackError, UsageError
from pipelines.jobs import Attempt, JobServer
from pipelines.place import place
from pipelines.reach import is_here, require_reachable
from pipelines.settings import settings
from pipelines.trainings.callbacks import OnProgress, Opened, Submits
from pipelines.trainings.job_words import heard

log = logging.getLogger(__name__)


def train_as_job(
    cluster: str,
    key: str,
    call: Mapping[str, Any],
    places: Mapping[str, str],
    progress: OnProgress,
    opened: Opened | None = None,
    submits: Submits | None = None,
) -> dict[str, Any]:
    """Attach to the job of a run key, or submit its next attempt, and wait for it.

    A job that ended is never taken for a finished run: whoever calls has looked for the run's result before. The job
    is stopped on Ctrl-C or when this process is told to end, and left running by an error here.

    Args:
        cluster: `job` or `job:<http address>`.
        key: the run key, which names the job.
        call: what `train_and_record` gets there; JSON types.
        places: what each path or URI in it is for.
        progress: called with rows of metrics and the number of all steps.
        opened: called with id and address of the MLflow run, once the job has told them.
        submits: called once it is certain that the job can be, before it is.

    Returns:
        What `train_and_record` returned there.

    Raises SSTrackError where the job fails, with its own words; UsageError for places that the cluster does not see.
    """
    for what, uri in places.items():
        if urlsplit(uri).password:
            raise UsageError(
                f"the URI of the {what} holds a password, which everybody who sees the cluster's jobs would read: set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the cluster's environment instead"
            )
    server = JobServer(place(cluster).address or settings().job_address.rstrip("/"))
    machines = [each.address for each in server.machines()]
    require_reachable(places, machines)
    if submits is not None:
        submits(server.address, key)
    attempt = server.newest(key)
    if attempt is None or attempt.ended:
        number = attempt.number + 1 if attempt else 1
        # Elsewhere the head's PATH decides, which in an image is right.
        python = sys.executable if all(map(is_here, machines)) else "python"
        request = json.dumps({"key": key, "call": call})
        attempt = server.submit(key, number, [python, "-m", "pipelines.trainings.job_main", request])
        log.info("submitted job %s to %s", attempt.id, server.address)
    else:
        log.info("attached to job %s at %s, which is %s", attempt.id, server.address, attempt.status.lower())
    said = _Said(progress, opened)
    try:
        attempt = server.follow(attempt, said.line, settings().start_seconds)
    except BaseException as ending:
        if not isinstance(ending, Exception):  # somebody wants this to stop: Ctrl-C, or Prefect's own signal
            log.info("stopping job %s", attempt.id)
            server.stop(attempt)
        raise
    return said.result_of(attempt, server)


def stop_job(address: str, key: str) -> str | None:
    """Stop the job of a run key at a job server if it runs or waits. Returns its id, None where none was to stop."""
    server = JobServer(address)
    attempt = server.newest(key)
    if attempt is None or attempt.ended:
        return None
    server.stop(attempt)
    return attempt.id


class _Said:
    """What a job's log said so far."""

    def __init__(self, progress: OnProgress, opened: Opened | None) -> None:
        self._progress, self._opened = progress, opened
        self._others: deque[str] = deque(maxlen=10)
        self._ending: dict[str, Any] = {}

    def line(self, line: str) -> None:
        """Take one line: ours mean something, the last ones of others are kept for the case of failure."""
        said = heard(line)
        if said is None:
            if line.strip():
                self._others.append(line.strip())
        elif "progress" in said:
            self._progress(*said["progress"])
        elif "opened" in said:
            if self._opened is not None:
                self._opened(*said["opened"])
        elif "log" in said:
            log.info("job: %s", said["log"])
        else:
            self._ending = said

    def result_of(self, attempt: Attempt, server: JobServer) -> dict[str, Any]:
        """What the job returned. Raises SSTrackError with its words where it did not."""
        where = f"job {attempt.id} at {server.address}"
        if attempt.status == "STOPPED":
            raise SSTrackError(f"{where} was stopped by somebody; the same command goes on from its newest checkpoint")
        if "error" in self._ending:
            kind = UsageError if self._ending["usage"] else SSTrackError
            raise kind(f"{self._ending['error']} ({where})")
        if attempt.status == "FAILED":
            for line in self._others:
                log.info("job: %s", line)
            last = self._others[-1] if self._others else attempt.message
            hint = (
                "the cluster's machines need sstrack installed, see docs/clusters.md"
                if "No module named 'pipelines'" in last
                else "the same command tries again, and goes on from the newest checkpoint"
            )
            raise SSTrackError(f"{where} failed: {last}; {hint}")
        if "result" not in self._ending:
            raise SSTrackError(f"{where} ended without a result; is the sstrack there of another version?")
        return self._ending["result"]
