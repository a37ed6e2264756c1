"""Pages from templates that lie beside the modules that fill them: HTML and Markdown, escaped wherever text goes in.

A template never has to ask for it: names of files and tables come from outside, and one forgotten place is a hole.
"""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_SPECIAL = re.compile(r"[\\`*<>\[\]|~&#!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What may begin something in Markdown; an underscore inside a word does not."""
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;"}
"""What HTML and tables know, in no need of a Markdown that knows backslashes."""


def html_page(template: Path, **values: object) -> str:
    """Fill an HTML template; all values are escaped. Raises jinja2.UndefinedError for a name that has no value."""
    return _fill(_environment(template, autoescape=True), template, values)


def markdown_page(template: Path, **values: object) -> str:
    """Fill a Markdown template; values read as plain text, or with the filter `code` as code, and start nothing.
    Raises as `html_page` does."""
    environment = _environment(template, autoescape=False)
    environment.finalize = _plain
    environment.filters["code"] = lambda text: _Ready(_code(str(text)))
    return _fill(environment, template, values)


class _Ready(str):
    """Markdown that stays as it is."""

    __slots__ = ()


def _plain(value: Any) -> Any:
    if isinstance(value, _Ready) or not isinstance(value, str):
        return value
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), _printable(value))


def _code(text: str) -> str:
    """Inside of code nothing is escaped but a table's bar, and only a backtick ends it."""
    return f"`{_printable(text).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _environment(template: Path, autoescape: bool) -> Environment:
    return Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=autoescape,  # noqa: S701 - Markdown is escaped by `finalize`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _fill(environment: Environment, template: Path, values: dict[str, object]) -> str:
    return environment.get_template(template.name).render(values)
