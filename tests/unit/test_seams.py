"""The names by which tests reach into modules lead somewhere."""

import pkgutil
import re
from pathlib import Path

import pytest

from tests import seams

NAMES = [
    name
    for value in vars(seams).values()
    for name in (value if isinstance(value, list) else [value])
    if isinstance(name, str) and name.startswith(("cli.", "flows.", "pipelines.", "sstrack."))
]


@pytest.mark.parametrize("name", NAMES)
def test_a_seam_is_there(name: str) -> None:
    assert pkgutil.resolve_name(name) is not None


def test_the_table_is_read() -> None:
    assert len(NAMES) >= 8


def test_no_test_has_a_path_of_its_own() -> None:
    path = re.compile(r"setattr\(\s*\"(cli|flows|pipelines|sstrack)\.")
    tests = Path(seams.__file__).parent
    assert [str(file.relative_to(tests)) for file in tests.rglob("*.py") if path.search(file.read_text())] == []
