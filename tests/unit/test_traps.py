"""docs/traps.md names tests that are there."""

import re
from pathlib import Path

import pytest

from tests.conftest import REPO

TESTS = REPO / "tests"
PAGE = (REPO / "docs/traps.md").read_text()


def named() -> list[tuple[Path, str]]:
    """File and function of each test on the page; `::name` is in the file before it."""
    found, path = [], TESTS
    for file, name in re.findall(r"`([\w/]*\.py)?(?:::(\w+))?[^`]*`", PAGE):
        path = TESTS / file if file.startswith(("unit/", "integration/", "e2e/")) else path
        if name or (file and path == TESTS / file):
            found.append((path, name))
    return found


@pytest.mark.parametrize(("path", "name"), named())
def test_a_trap_has_its_test(path: Path, name: str) -> None:
    assert f"def {name}(" in path.read_text() if name else path.is_file()


def test_the_page_is_read() -> None:
    assert len(named()) > 60
