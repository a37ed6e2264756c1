"""Ray on this machine: the only module that starts or stops it."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipelines.errors import SSTrackError

OBJECT_STORE_BYTES = 100 * 1024 * 1024
"""Paths and small tables travel through the object store, never frames or weights. Ray refuses less than 75 MiB."""

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A private cluster on the loopback: a token would be written to the user's home for nothing.
    "RAY_AUTH_MODE": "disabled",
    # Keep accelerators visible to tasks that ask for none: Ray warns that this becomes its own default.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Lost:
    """An actor, or the machine it was on, is gone."""

    detail: str


@contextmanager
def joined(address: str, cpus: int) -> Iterator[None]:
    """Ray for the time of the block: a private one with `cpus` cores where `address` is "local", else the cluster
    there ("auto", "ray://host:10001", "host:6379"). Raises SSTrackError where none answers."""
    if address == "local":
        with local_cluster(cpus):
            yield
        return
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise SSTrackError(
            f"no Ray cluster answers at {address!r} ({error}); check the address, or use 'local' for one of its own."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


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
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(
        address="local",
        num_cpus=cpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
    try:
        yield
    finally:
        ray.shutdown()


def run_tasks(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[int]:
    """Run `function` once per tuple of arguments, one core each, and yield the index of each call as it ends.

    The first failure stops the others and is raised as it was in the task. Needs a `local_cluster`.
    """
    import ray
    from ray.exceptions import RayTaskError

    remote = ray.remote(num_cpus=1, max_retries=1)(function)
    running = {remote.remote(*args): index for index, args in enumerate(arguments)}
    try:
        while running:
            ended, _ = ray.wait(list(running), num_returns=1)
            ray.get(ended[0])
            yield running.pop(ended[0])
    except RayTaskError as error:
        raise error.cause from error
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
