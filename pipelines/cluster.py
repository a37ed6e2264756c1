"""Ray: the only module that starts, joins or leaves a cluster. Jobs for a cluster of other machines: `jobs.py`."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import SSTrackError, UsageError
from pipelines.place import place

log = logging.getLogger(__name__)

OBJECT_STORE_BYTES = 100 * 1024 * 1024
"""Paths and small tables travel through the object store, never frames or weights. Ray refuses less than 75 MiB."""

JOINED_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Keep accelerators visible to tasks that ask for none: Ray warns that this becomes its own default.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


LOCAL_ENVIRONMENT = {
    **JOINED_ENVIRONMENT,
    # A private cluster on the loopback: a token would be written to the user's home for nothing.
    "RAY_AUTH_MODE": "disabled",
    # Its head dies with the process that started it and never comes back: no use in waiting a minute for it.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
}
_CONNECT_SECONDS = 10.0
_RETRIES = 2
_STARTS = 4


@dataclass(frozen=True)
class Lost:
    """An actor, or the machine it was on, is gone."""

    detail: str


@contextmanager
def joined(address: str, cpus: int) -> Iterator[None]:
    """Ray for the time of the block: a private one with `cpus` cores where `address` is "local", else the cluster
    there ("auto", "host:6379").

    Raises SSTrackError where none answers, UsageError for another word.
    """
    kind = place(address).kind
    if kind == "local":
        with local_cluster(cpus):
            yield
        return
    if kind == "job":
        raise UsageError(f"cluster {address!r} is for training; here it is local, auto, or host:port")
    for name, value in JOINED_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray
    from ray.exceptions import AuthenticationError

    if ray.is_initialized():
        yield
        return
    there = _listener(address)
    try:
        os.environ["RAY_ADDRESS"] = there  # Ray lets it win over what it is given
        ray.init(address=there, log_to_driver=False, logging_level=logging.WARNING)
    except (AuthenticationError, ConnectionError, RuntimeError, ValueError) as error:
        if _of_token(error):
            raise SSTrackError(
                f"the Ray cluster at {address!r} refuses this machine's token: set RAY_AUTH_MODE=token and "
                "RAY_AUTH_TOKEN_PATH to a file with the cluster's token"
            ) from error
        raise SSTrackError(
            f"no Ray cluster answers at {address!r} ({str(error).splitlines()[0]}); check the address, or use 'local' "
            "for one of its own."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _of_token(error: BaseException | None) -> bool:
    """Whether a token was wrong or missing: Ray says so in the text of one of the errors behind the one it raises."""
    while error is not None:
        if type(error).__name__ == "AuthenticationError" or "InvalidAuthToken" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _listener(word: str) -> str:
    """The address behind `word`, where something listens.

    Ray itself tries a dead address for more than two minutes, and for "auto" it would also take any private cluster
    that happens to run on this machine.
    """
    address, origin = word, ""
    if word == "auto":
        note = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp") / "ray/ray_current_cluster"  # noqa: S108  (where Ray keeps it)
        address = os.environ.get("RAY_ADDRESS") or (note.read_text().strip() if note.is_file() else "")
        origin = " of RAY_ADDRESS" if os.environ.get("RAY_ADDRESS") else f" of {note}"
    if not address:
        raise SSTrackError(
            "no Ray cluster runs on this machine (RAY_ADDRESS is not set, `ray start` has left no address): start one "
            "with `ray start --head`, give its address as host:6379, or use 'local'"
        )
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise SSTrackError(
            f"no Ray cluster answers at {address!r}{origin} ({error}); check the address, or use 'local' for one of "
            "its own."
        ) from error
    return address


def machines() -> list[str]:
    """Addresses of the machines of the cluster that is joined."""
    import ray

    return [node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]]


def processors(least: int, gpu: bool | None, seconds: float) -> bool:
    """Wait until the cluster has a processor for each of `least` workers; an autoscaler is asked for them.

    Args:
        least: workers.
        gpu: whether each takes a GPU; None takes GPUs where the cluster has any.
        seconds: how long to wait.

    Returns whether they take GPUs. Raises SSTrackError with what was wanted and what is there; Ray itself would wait
    without end.
    """
    import ray
    from ray.autoscaler.sdk import request_resources

    until, asked = time.monotonic() + seconds, False
    try:
        while True:
            there = ray.cluster_resources()
            gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 0))
            takes_gpu = gpus > 0 if gpu is None else gpu
            found, what = (gpus, "GPU") if takes_gpu else (cpus, "CPU")
            if found >= least:
                return takes_gpu
            if time.monotonic() >= until:
                waited = f" after {seconds:.0f} s" if seconds else ""
                raise SSTrackError(
                    f"{least} workers need a {what} each, and the cluster has {found}{waited} ({cpus} CPUs, {gpus} "
                    f"GPUs in all); use --workers {max(found, 1)}, a cluster with more, or --option wait_s=600 for one "
                    "that grows"
                )
            if not asked:
                asked = True
                log.info("waiting up to %.0f s for %d %ss, the cluster has %d", seconds, least, what, found)
                request_resources(bundles=[{what: 1}] * least)
            time.sleep(1)
    finally:
        if asked:  # the placement of the workers asks for itself
            request_resources(bundles=[])


def actor(kind: type, *arguments: Any) -> Any:
    """An instance of `kind` in a process of its own with one core, somewhere on the cluster."""
    import ray

    return ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(kind).remote(*arguments)


def finished(references: Sequence[Any], patience: float) -> Iterator[tuple[Any, Any]]:
    """Those of `references` that are there within `patience` seconds, with their values; Lost where the actor is gone.
    What a task raised is raised."""
    import ray
    from ray.exceptions import RayActorError, RayTaskError

    ended, _ = ray.wait(list(references), num_returns=1, timeout=patience)
    for reference in ended:
        try:
            yield reference, ray.get(reference)
        except RayTaskError as error:
            raise error.cause from error
        except RayActorError as error:
            yield reference, Lost(type(error).__name__)


def end(handle: Any) -> None:
    """Kill an actor."""
    import ray

    ray.kill(handle)


@contextmanager
def local_cluster(cpus: int) -> Iterator[None]:
    """Ray with `cpus` cores for the time of the block. A cluster that this process already started is used and left.

    `address="local"` keeps away from any other Ray on the machine, also from the stale address file that a killed
    one leaves behind.
    """
    for name, value in LOCAL_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    _start_local(cpus)
    try:
        yield
    finally:
        ray.shutdown()


def _start_local(cpus: int) -> None:
    """Start a private cluster. On a busy machine its daemons may miss Ray's fixed limit of 30 s: then once more.

    Raises SSTrackError where they miss it each time.
    """
    import ray

    log.info("starting Ray on this machine")
    for attempt in range(1, _STARTS + 1):
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
            return
        except Exception as error:
            ray.shutdown()  # what did start
            if "timed out during startup" not in str(error):
                raise
            if attempt == _STARTS:
                raise SSTrackError(
                    f"Ray's processes did not come up within 30 s, {_STARTS} times; this machine is too busy: run the "
                    "same command again later, or with --workers 0, which needs no Ray"
                ) from error
            log.warning("Ray's processes did not come up within 30 s, as on a busy machine; they are started again")


def run_streams(
    function: Callable[..., Iterator[Any]], arguments: Sequence[tuple[Any, ...]], *, at_once: int, gpus: float = 0
) -> Iterator[tuple[int, Any]]:
    """Run a generator function once per tuple of arguments, one core each, and yield what each call yields as it comes,
    with the index of the call. Needs a `local_cluster`.

    At most `at_once` calls are with Ray at a time, so that their arguments do not fill its store. A call whose process
    dies is made again, `_RETRIES` times; it has to find by itself what its predecessor finished. The first failure
    stops the others and is raised as it was in the task.
    """
    import ray
    from ray.exceptions import RayTaskError, WorkerCrashedError

    remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(function)
    waiting = list(enumerate(arguments))[::-1]
    running: dict[Any, int] = {}  # streams, which Ray waits for as for references
    deaths = dict.fromkeys(range(len(arguments)), 0)
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                index, given = waiting.pop()
                running[remote.remote(*given)] = index
            ready, _ = ray.wait(list(running), num_returns=1)
            stream: Any = ready[0]
            index = running[stream]
            try:
                yield index, ray.get(next(stream))
            except StopIteration:
                del running[stream]
            except WorkerCrashedError as error:
                del running[stream]
                deaths[index] += 1
                if deaths[index] > _RETRIES:
                    raise SSTrackError(
                        f"a worker process died {deaths[index]} times on the same piece of work (killed, or out of "
                        "memory); what is finished is kept, the same command goes on from there"
                    ) from error
                log.warning("a worker process died; its piece of work is taken up again")
                waiting.append((index, arguments[index]))
    except RayTaskError as error:
        raise error.cause from error
    finally:
        for stream in running:
            ray.cancel(stream, force=True)
