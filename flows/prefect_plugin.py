"""Lets every `prefect` command find the server of `sstrack up`, and makes `prefect deployment run ingest-videos` work:
Prefect itself would start a temporary, empty server for the first, and only takes `<flow>/<deployment>` for the second.

Prefect calls `setup_environment` while it is imported, before its command line is read. For `deployment run` it
doubles a one-part name in place, and ends the command when no server would ever execute the run. Rewriting the
arguments is off-label use of an environment hook, so it stays this small; pyproject.toml switches it on.
"""

import sys
import urllib.error
import urllib.request
from pathlib import Path

from prefect.plugins import HookContext, SetupResult, register_hook

from flows.stack_note import noted_stack
from pipelines.errors import UsageError
from pipelines.settings import settings

DEFAULT_API = "http://127.0.0.1:4200/api"
_VALUED_OPTIONS = {
    "--id", "--job-variable", "-jv", "--param", "-p", "--params", "--start-in", "--start-at", "--tag",
    "--watch-interval", "--watch-timeout", "--flow-run-name",
}  # fmt: skip


@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    """For the command `prefect` alone: name the server of this work folder's stack, unless one is set. Then for
    `deployment run …`: check that a server answers, and complete a one-part name."""
    if not _is_prefect(sys.argv[0]):
        return None
    url = ctx.api_url or _noted()
    found = SetupResult(env={"PREFECT_API_URL": url}, note="sstrack up") if url and not ctx.api_url else None
    words = _words_after_run(sys.argv)
    if words is None:
        return found
    url = url or DEFAULT_API
    if not _answers(url):
        print(
            f"no Prefect server answers at {url}, so nobody would execute this run: "
            "start one with `sstrack up`, or set PREFECT_API_URL to yours.",
            file=sys.stderr,
        )
        raise SystemExit(1)
    name = _name_position(sys.argv, words)
    if name is not None and "/" not in sys.argv[name]:
        sys.argv[name] = f"{sys.argv[name]}/{sys.argv[name]}"
    return None if ctx.api_url else SetupResult(env={"PREFECT_API_URL": url}, note="the local server")


def _is_prefect(program: str) -> bool:
    path = Path(program)
    return path.stem == "prefect" or (path.name == "__main__.py" and path.parent.name == "prefect")


def _noted() -> str | None:
    try:
        running = noted_stack(settings().work)
    except UsageError:  # a variable of ours is wrong, which is no matter of Prefect's commands
        return None
    return running.api_url if running else None


def _words_after_run(argv: list[str]) -> int | None:
    """Index of the first word after `deployment run`, or None for any other command and for its help."""
    for index in range(1, len(argv) - 1):
        if argv[index] in ("deployment", "deployments") and argv[index + 1] == "run":
            asks_help = {"--help", "-h"} & set(argv[index + 2 :])
            return None if asks_help else index + 2
        if not argv[index].startswith("-") and argv[index - 1] not in ("--profile", "-p"):
            return None
    return None


def _name_position(argv: list[str], start: int) -> int | None:
    index = start
    while index < len(argv):
        if argv[index] in _VALUED_OPTIONS:
            index += 2
        elif argv[index].startswith("-"):
            index += 1
        else:
            return index
    return None


def _answers(api_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api_url.rstrip('/')}/health", timeout=5):  # noqa: S310  (the user's own setting)
            return True
    except urllib.error.HTTPError:
        return True  # a server that wants credentials is a server
    except (OSError, ValueError):
        return False
