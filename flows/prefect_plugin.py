"""Makes `prefect deployment run ingest-videos` work: Prefect itself only takes `<flow>/<deployment>`.

Prefect calls `setup_environment` while it is imported, before its command line is read. For `deployment run` it
doubles a one-part name in place, and ends the command when no server would ever execute the run. Rewriting the
arguments is off-label use of an environment hook, so it stays this small; pyproject.toml switches it on.
"""

import sys
import urllib.error
import urllib.request

from prefect.plugins import HookContext, SetupResult, register_hook

DEFAULT_API = "http://127.0.0.1:4200/api"
_VALUED_OPTIONS = {
    "--id", "--job-variable", "-jv", "--param", "-p", "--params", "--start-in", "--start-at", "--tag",
    "--watch-interval", "--watch-timeout", "--flow-run-name",
}  # fmt: skip


@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    """For `prefect deployment run …` only: check that a server answers, and complete a one-part name."""
    words = _words_after_run(sys.argv)
    if words is None:
        return None
    url = ctx.api_url or DEFAULT_API
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
