"""What the commands of `sstrack` share: failing in one sentence, one JSON object, progress on standard error."""

import functools
import json
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console

from pipelines.errors import GateRefused, SSTrackError, UsageError
from pipelines.processes import Ended, descendants, stop_processes
from sstrack.pretrained import PRETRAINED

P = ParamSpec("P")
R = TypeVar("R")

INTERRUPTED = 130


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Expected failures become one message and an exit code, Ctrl-C stops all children and says how to go on."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return command(*args, **kwargs)
        except Ended as ended:
            raise typer.Exit(ended.code) from ended
        except SSTrackError as error:
            print(f"sstrack: {error}", file=sys.stderr)
            raise typer.Exit(exit_code(error)) from error
        except (KeyboardInterrupt, SystemExit) as error:  # Ray Train turns Ctrl-C into sys.exit
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            stop_processes(descendants(os.getpid()))
            print("sstrack: stopped. What is finished is kept; the same command goes on from there.", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            said = _refused(error)
            if said is None:
                raise
            print(f"sstrack: {said}", file=sys.stderr)
            raise typer.Exit(1) from error

    return run


def _refused(error: Exception) -> str | None:
    """The sentence on an MLflow server that refuses or does not answer."""
    if not type(error).__module__.startswith("mlflow"):
        return None
    from pipelines.registry.refusals import in_words

    return in_words(error)


def exit_code(error: SSTrackError) -> int:
    """1 failed, 2 usage, 3 refused by a gate."""
    return 2 if isinstance(error, UsageError) else 3 if isinstance(error, GateRefused) else 1


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """`["optim.steps=100"]` -> `{"optim.steps": 100}`; values are JSON where they can be, else text."""
    parsed: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise UsageError(f"--set {pair}: expected name=value")
        try:
            parsed[name] = json.loads(text)
        except json.JSONDecodeError:
            parsed[name] = text
    return parsed


def parse_box(text: str) -> tuple[float, float, float, float]:
    """`"10,20,30,40"` -> x, y, w, h."""
    try:
        x, y, w, h = (float(word) for word in text.split(","))
    except ValueError as error:
        raise UsageError(f"--box {text}: expected x,y,w,h in pixels, say 120,80,64,48") from error
    if not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
        raise UsageError(f"--box {text}: expected finite numbers, width and height above 0")
    return x, y, w, h


def absolute_model(model: str) -> str:
    """A package folder made absolute; `pretrained`, `models:/…` and `untrained:…` as they are."""
    from pipelines.settings import absolute

    known = model == PRETRAINED or model.startswith(("models:/", "untrained:"))
    return model if known else absolute(model)


@contextmanager
def reporting(as_json: bool) -> Iterator[Callable[[Mapping[str, Any], Callable[[Console], None]], None]]:
    """Yield `report(data, show)`: prints `data` as the only JSON object on standard output, or calls `show`.

    While the block runs with `as_json`, whatever else writes to standard output goes to standard error.
    """
    _log_to_stderr()
    if not as_json:
        yield lambda _, show: show(Console())
        return
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    held: list[str] = []
    try:
        yield lambda data, _: held.append(json.dumps(data, default=str))
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
        for line in held:
            print(line)


@contextmanager
def streaming(as_json: bool) -> Iterator[tuple[Callable[[Mapping[str, Any]], None], Callable[[str], None]]]:
    """Yield `emit(data)`, which prints one JSON object per line on standard output at once, and `say(line)`, which
    prints a line for a person: on standard error with `as_json`, where all other output goes too."""
    _log_to_stderr()
    if not as_json:
        yield lambda _: None, print
        return
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)

    def emit(data: Mapping[str, Any]) -> None:
        try:
            os.write(saved, f"{json.dumps(data)}\n".encode())
        except BrokenPipeError as error:
            raise SSTrackError("the reader of standard output has gone; nothing more is tracked") from error

    try:
        yield emit, lambda line: print(line, file=sys.stderr)
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


@contextmanager
def progress_bar(stage: str, unit: str) -> Iterator[Callable[..., None]]:
    """Yield `update(done, total, note="")`: a bar with rate and ETA on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        from flows.progress import ProgressLines

        yield ProgressLines(stage, unit).update
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(stage), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn(),
        TextColumn("eta"), TimeRemainingColumn(), TextColumn("{task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        row = bar.add_task("", total=None)
        yield lambda done, total, note="": bar.update(row, completed=done, total=total, description=note)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("cli", "flows", "pipelines", "sstrack"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.setLevel(logging.INFO)
            logger.addHandler(handler)
            logger.propagate = False
