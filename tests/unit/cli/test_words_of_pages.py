"""Every `sstrack …` that our pages and messages tell somebody to type is a command with these options."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli.main import app
from tests.conftest import REPO

PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md")), *sorted((REPO / "infra").rglob("*.yaml"))]
SOURCES = [path for room in ("cli", "flows", "pipelines", "sstrack") for path in sorted((REPO / room).rglob("*.py"))]
COMMANDS = typer.main.get_command(app)


def told(path: Path) -> Iterator[str]:
    """What stands between backticks, and on lines of code of a page."""
    text = path.read_text()
    yield from re.findall(r"`(sstrack [^`\n]+)`", text)
    if path.suffix == ".md":
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            yield from (line for line in lines if re.match(r"(\w+=\S+ )*sstrack ", line))


def wrong_with(line: str) -> str:
    """What is no command or no option of it; empty where all is known."""
    words = re.sub(r"\s#\s.*", "", line).split()
    words = words[words.index("sstrack") + 1 :]
    command: Any = COMMANDS
    while (below := getattr(command, "commands", None)) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        if words[0] not in below:
            return f"{words[0]} is no command of {command.name}"
        command = below[words.pop(0)]
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
    options = [word.split("=")[0].rstrip(".,;:)]") for word in words if re.match(r"--[a-z]", word)]
    return ", ".join(f"{each} is no option of {command.name}" for each in options if each not in known)


@pytest.mark.parametrize("path", [*PAGES, *SOURCES], ids=lambda path: str(path.relative_to(REPO)))
def test_what_is_told_can_be_typed(path: Path) -> None:
    assert {line: wrong for line in told(path) if (wrong := wrong_with(line))} == {}


def test_a_wrong_word_is_found() -> None:
    assert wrong_with("sstrack dataset report") == "report is no command of dataset"
    assert wrong_with("SSTRACK_WORK=/x sstrack ingest A --aut B") == "--aut is no option of ingest"
    assert wrong_with("sstrack ingest A --out B --set dedup=false") == ""
