"""The local stack behind `sstrack up`: Prefect server, worker, MLflow; our deployments; all stopped together."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.stack_note import POOL, STACK, forget_stack, note_stack, noted_stack
from pipelines.errors import SSTrackError
from pipelines.lifeline import lifeline
from pipelines.locks import work_lock
from pipelines.processes import marked, stop_processes, tree
from pipelines.settings import own_store, settings

HEARTBEAT_S = 60
"""Seconds between two signs of life of a run."""
PREFECT_FILE = Path(__file__).resolve().parent.parent / "prefect.yaml"
START_SECONDS = 180.0


@dataclass(frozen=True)
class Stack:
    """What runs, and where."""

    prefect_url: str
    mlflow_url: str
    store: str
    """What the MLflow server keeps its records in; where none was started, the server that was there."""
    work: Path
    logs: Path
    processes: dict[str, subprocess.Popen[bytes]]

    def ended(self) -> str | None:
        """Name of a process that has ended on its own, if one has."""
        return next((name for name, process in self.processes.items() if process.poll() is not None), None)


@contextmanager
def local_stack(
    work: Path,
    prefect_port: int = 4200,
    mlflow_port: int = 5000,
    say: Callable[[str], None] = lambda _: None,
    schedules: bool | None = None,
) -> Iterator[Stack]:
    """Start everything, deploy `prefect.yaml`, wait until each answers; stop everything at the end of the block.

    Flows record through the MLflow server, not in its store behind its back. Where `SSTRACK_MLFLOW_URI` names a server
    already, none is started and flows use that one.

    Args:
        work: folder for databases, logs, and the defaults of all flows.
        prefect_port: loopback port of the Prefect server.
        mlflow_port: loopback port of the MLflow server.
        say: called with one line per stage.
        schedules: switch all schedules on or off; None leaves each as it is, at first off.

    Raises SSTrackError: a port in use, another stack in `work`, a process that does not come up.
    """
    if (running := noted_stack(work)) is not None and _answers(f"{running.api_url}/health"):
        raise SSTrackError(
            f"already up in {work}: Prefect {running.prefect_url}, MLflow {running.mlflow_url} (pid {running.pid}); "
            f"another shell finds it with `export PREFECT_API_URL={running.api_url}`"
        )
    if not PREFECT_FILE.is_file():
        raise SSTrackError(f"no {PREFECT_FILE}: `sstrack up` deploys from a checkout, install with `make install`")
    store = _store(work)
    remote = store.startswith(("http://", "https://"))
    _require_free(prefect_port, "--prefect-port")
    if not remote:
        _require_free(mlflow_port, "--mlflow-port")
    logs = work / "logs"
    with ExitStack() as closing:
        closing.enter_context(work_lock(work, "up"))
        logs.mkdir(parents=True, exist_ok=True)
        # What an `up` that was killed has left: it would go on working beside the new one.
        stop_processes(marked(STACK, str(work)), patience=5.0)
        closing.enter_context(lifeline(STACK, str(work)))
        prefect_url = f"http://127.0.0.1:{prefect_port}"
        mlflow_url = store if remote else f"http://127.0.0.1:{mlflow_port}"
        environment = _environment(work, f"{prefect_url}/api", mlflow_url, _journal(store))
        stack = Stack(prefect_url, mlflow_url, store, work, logs, {})
        closing.callback(_stop, stack, say)
        _start(stack, "prefect-server", _server(prefect_port), environment)
        say("starting the Prefect server" if remote else "starting the Prefect server and MLflow")
        if not remote:
            _make_store(store)
            _start(stack, "mlflow", _mlflow(store, work, mlflow_port), environment)
        _wait(stack, "prefect-server", lambda: _answers(f"{prefect_url}/api/health"))
        _settle(stack, "its `sstrack up` ended before it did; run it again, it goes on", say)
        say("deploying prefect.yaml")
        _bootstrap(environment, logs / "deploy.log", schedules)
        worker = ("worker", "start", "--pool", POOL, "--type", "process", "--install-policy", "never")
        _start(stack, "worker", (sys.executable, "-m", "prefect", *worker), environment)
        say("starting the worker")
        _wait(stack, "worker", lambda: _worker_online(prefect_url))
        if not remote:
            _wait(stack, "mlflow", lambda: _answers(f"{mlflow_url}/health"))
        note_stack(work, prefect_url, mlflow_url)
        closing.callback(forget_stack, work)
        yield stack


def run_until_stopped(stack: Stack) -> None:
    """Return on SIGINT or SIGTERM. Raises SSTrackError when a process of the stack ends on its own."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while (ended := stack.ended()) is None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)
    raise SSTrackError(f"the {ended} ended on its own: see {stack.logs / ended}.log")


def _store(work: Path) -> str:
    here = settings()
    return here.mlflow_uri if work == here.work else own_store(work)


def _journal(store: str) -> str:
    """Where commands that are typed beside the stack keep decisions; empty for the default of who asks a server."""
    from pipelines.registry.sqlite_store import SQLITE

    beside = str(Path(store.removeprefix(SQLITE)).parent / "journal") if store.startswith(SQLITE) else ""
    return settings().journal or beside


def _environment(work: Path, api_url: str, mlflow_url: str, journal: str) -> dict[str, str]:
    return {
        **os.environ,
        STACK: str(work),
        "SSTRACK_WORK": str(work),
        "SSTRACK_MLFLOW_URI": mlflow_url,
        "SSTRACK_JOURNAL": journal,
        "PREFECT_HOME": str(work / "prefect"),
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # The loader of plugins prints tracebacks from the worker's hooks; only the command line needs ours.
        "PREFECT_PLUGINS_ENABLED": "0",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _make_store(store: str) -> None:
    """A SQLite store, before MLflow makes it piece by piece, while the Prefect server comes up. With our experiment in
    it, whose files then lie beside it and are found without the server too."""
    from pipelines.registry.runs import experiment_id, registry_client
    from pipelines.registry.sqlite_store import SQLITE

    if store.startswith(SQLITE):
        experiment_id(registry_client(store), store)


def _server(port: int) -> tuple[str, ...]:
    return (sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))


def _mlflow(store: str, work: Path, port: int) -> tuple[str, ...]:
    return (
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", store),
        *("--artifacts-destination", str(work / "mlflow-artifacts")),
    )


def _start(stack: Stack, name: str, command: tuple[str, ...], environment: dict[str, str]) -> None:
    """In a session of its own, so that the terminal's Ctrl-C reaches us alone and we stop it in order."""
    with (stack.logs / f"{name}.log").open("ab") as log:
        stack.processes[name] = subprocess.Popen(
            command, env=environment, cwd=stack.work, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def _bootstrap(environment: dict[str, str], log: Path, schedules: bool | None) -> None:
    from flows.bootstrap import bootstrap  # Prefect, after its server was started, which takes longest

    bootstrap(environment, PREFECT_FILE, log, schedules)


def _settle(stack: Stack, why: str, say: Callable[[str], None]) -> None:
    from flows.stale_runs import settle_stale_runs

    if settled := settle_stale_runs(f"{stack.prefect_url}/api", stack.store, why):
        say(f"marked as crashed: {', '.join(settled)}")


def _wait(stack: Stack, name: str, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + START_SECONDS
    while not ready():
        if stack.processes[name].poll() is not None or time.monotonic() > until:
            raise SSTrackError(f"the {name} did not come up: see {stack.logs / name}.log")
        time.sleep(0.2)


def _stop(stack: Stack, say: Callable[[str], None]) -> None:
    """Worker first, so that it starts nothing new, with all its runs; then, while the server still answers, those runs
    are marked; then the rest, and whatever any of them has started, in whatever session."""
    _stop_one(stack, "worker")
    others = {process.pid for name, process in stack.processes.items() if name != "worker"}
    kept = {each.pid for pid in others for each in tree(pid)}
    stop_processes((each for each in marked(STACK, str(stack.work)) if each.pid not in kept), patience=5.0)
    try:
        if _answers(f"{stack.prefect_url}/api/health"):
            _settle(stack, "`sstrack up` was stopped; run it again, it goes on from where it was", say)
    finally:
        for name in ("mlflow", "prefect-server"):
            _stop_one(stack, name)
        stop_processes(marked(STACK, str(stack.work)), patience=2.0)


def _stop_one(stack: Stack, name: str) -> None:
    if name in stack.processes:
        started = tree(stack.processes[name].pid)
        stop_processes(started[:1])
        stop_processes(started[1:], patience=5.0)
        stack.processes[name].wait()


def _require_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SSTrackError(
                f"port {port} is in use: stop what listens there, or choose another one with {option}"
            ) from error


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310  (our own loopback address)
            return True
    except (OSError, urllib.error.URLError):
        return False


def _worker_online(prefect_url: str) -> bool:
    request = urllib.request.Request(  # noqa: S310  (our own loopback address)
        f"{prefect_url}/api/work_pools/{POOL}/workers/filter",
        data=b"{}",
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return any(worker["status"] == "ONLINE" for worker in json.load(answer))
    except (OSError, urllib.error.URLError):
        return False
