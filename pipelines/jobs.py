"""Ray's job server: find, submit, follow and stop the attempts at one key. Knows nothing of what they do.

A submission id can be used once, so attempts are `<key>`, `<key>-try2`, `<key>-try3` and so on; which is the newest is
read from the server, and whoever asks twice at once gets the same job.
"""

import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipelines.errors import SSTrackError
from pipelines.job_log import JobLog

_REQUEST_SECONDS = 30.0
_LOOK_SECONDS = 1.0
_SILENCE_SECONDS = 60.0
"""How long a server that answered before may be away."""
_STOP_SECONDS = 60.0
_BOOT_SECONDS = 20.0


class Unreachable(SSTrackError):
    """Nobody answers at the job server's address."""


@dataclass(frozen=True)
class Attempt:
    """One job of a key."""

    id: str
    number: int
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    message: str

    @property
    def ended(self) -> bool:
        return self.status in ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster."""

    address: str
    resources: dict[str, float]


class JobServer:
    """The job server at an http address. Each method raises SSTrackError with what to do where it does not answer,
    refuses the token, or is none."""

    def __init__(self, address: str) -> None:
        self.address = address
        # Ray lets RAY_ADDRESS win over the address that it is given, and this one win over both.
        os.environ["RAY_API_SERVER_ADDRESS"] = address
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        with self._explained():
            self._client = _client(address)

    def newest(self, key: str) -> Attempt | None:
        """The last attempt at `key`, None before the first."""
        with self._explained():
            jobs = self._client.list_jobs()
        attempts = []
        for job in jobs:
            base, sign, number = (job.submission_id or "").partition("-try")
            if base == key and (not sign or number.isdigit()):
                attempts.append(_attempt(job.submission_id, int(number or 1), job))
        return max(attempts, key=lambda each: each.number, default=None)

    def submit(self, key: str, number: int, command: Sequence[str]) -> Attempt:
        """Submit attempt `number`, or find that somebody else just did."""
        name = key if number == 1 else f"{key}-try{number}"
        try:
            with self._explained():
                self._client.submit_job(entrypoint=shlex.join(command), submission_id=name)
        except SSTrackError:
            there = self.newest(key)
            if there is None or there.id != name:
                raise
        return self.look(name, number)

    def look(self, name: str, number: int) -> Attempt:
        """The attempt as it is now."""
        with self._explained():
            return _attempt(name, number, self._client.get_job_info(name))

    def follow(self, attempt: Attempt, on_line: Callable[[str], None], start_seconds: float) -> Attempt:
        """Wait until the attempt has ended, handing each line of its log to `on_line`.

        Raises SSTrackError where the server is away for long (the job is left as it is), or where the job has not
        started within `start_seconds` (it is stopped then).
        """
        began = heard = time.monotonic()
        with JobLog(self._client, attempt.id) as log:
            while not attempt.ended:
                log.hand_over(on_line, _LOOK_SECONDS)
                now = time.monotonic()
                try:
                    attempt, heard = self.look(attempt.id, attempt.number), now
                except Unreachable as error:
                    if now - heard > _SILENCE_SECONDS:
                        raise Unreachable(
                            f"the Ray head at {self.address} has not answered for {_SILENCE_SECONDS:.0f} s while job "
                            f"{attempt.id} ran; the job may be running still, or have died with its head. Run the same "
                            "command again: it attaches to the job, or goes on from the newest checkpoint"
                        ) from error
                if attempt.status == "PENDING" and now - began > start_seconds:
                    self.stop(attempt)
                    raise SSTrackError(
                        f"job {attempt.id} had not started after {start_seconds:.0f} s and was told to stop "
                        f"({attempt.message or 'no reason given'}); the cluster has {self.what_is_there()}"
                    )
            with self._explained():
                log.hand_over_rest(on_line, self._client.get_job_logs(attempt.id))
        return attempt

    def stop(self, attempt: Attempt) -> Attempt:
        """Stop the attempt and wait until it has ended; a second Ctrl-C does not cut that short.

        One that has not started is only told to: Ray ends it when it would start, or after its own 15 minutes.
        """
        with _undisturbed():
            until = time.monotonic() + _STOP_SECONDS
            with self._explained():
                self._client.stop_job(attempt.id)
            attempt = self.look(attempt.id, attempt.number)
            while attempt.status == "RUNNING":
                if time.monotonic() > until:
                    raise SSTrackError(
                        f"job {attempt.id} does not stop; look at it with "
                        f"`ray job status {attempt.id} --address {self.address}`"
                    )
                time.sleep(0.2)
                attempt = self.look(attempt.id, attempt.number)
        return attempt

    def machines(self) -> list[Machine]:
        """Those of the cluster that are alive. A head that has only just come up lists none for some seconds."""
        from ray.util.state import list_nodes

        deadline = time.monotonic() + _BOOT_SECONDS
        while True:
            with self._explained():
                nodes: Any = list_nodes(address=self.address, filters=[("state", "=", "ALIVE")], limit=1000)
            if nodes or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        return [Machine(node.node_ip, dict(node.resources_total or {})) for node in nodes]

    def what_is_there(self) -> str:
        """The cluster's processors in words."""
        machines = self.machines()
        cpus, gpus = (sum(each.resources.get(kind, 0) for each in machines) for kind in ("CPU", "GPU"))
        return f"{cpus:.0f} CPUs and {gpus:.0f} GPUs on {len(machines)} machines"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what Ray's client raises into sentences."""
        import requests
        from ray.exceptions import AuthenticationError
        from ray.util.state.exception import RayStateApiException

        try:
            yield
        except AuthenticationError as error:
            raise SSTrackError(
                f"the Ray head at {self.address} refuses this machine's token: set RAY_AUTH_MODE=token, and "
                "RAY_AUTH_TOKEN_PATH to a file that holds the cluster's token"
            ) from error
        except (ConnectionError, requests.ConnectionError, requests.Timeout) as error:
            raise Unreachable(
                f"no Ray job server answers at {self.address}: check the address (SSTRACK_JOB_ADDRESS, or "
                "--cluster job:http://host:8265), the way there (a port-forward, say), and that the head has "
                "ray[default] installed; without it there is no job server"
            ) from error
        except (RuntimeError, ValueError, KeyError, requests.RequestException, RayStateApiException) as error:
            raise SSTrackError(f"the job server at {self.address} answered: {_last_line(error)}") from error


def _client(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    class Patient(JobSubmissionClient):
        """Ray's client, which waits for ever where a machine is gone, with an end to its patience."""

        def _do_request(self, *args: Any, **kwargs: Any) -> Any:
            return super()._do_request(*args, **{"timeout": _REQUEST_SECONDS, **kwargs})

    return Patient(address)


def _attempt(name: str, number: int, job: Any) -> Attempt:
    return Attempt(name, number, str(job.status), " ".join((job.message or "").split()))


def _last_line(error: BaseException) -> str:
    """Servers answer with whole tracebacks; what happened is in their last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" .")]
    return lines[-1][:500] if lines else type(error).__name__


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without SIGINT and SIGTERM, where this is the main thread."""
    try:
        before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # another thread, which signals do not reach
        before = {}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
