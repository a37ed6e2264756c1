"""What is done in one way is done in one place: final names for what was written, and the end of processes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("cli", "flows", "pipelines", "sstrack")


def calls(module: Path) -> Iterator[str]:
    """`os.kill` and `.rename` and the like: what a module calls, with the name before the dot where it is `os`."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            yield f"{'os' if isinstance(owner, ast.Name) and owner.id == 'os' else ''}.{node.func.attr}"


@pytest.mark.parametrize(
    ("names", "places"),
    [
        # The package's own room may not know pipelines, and has to put a package on a bare machine too.
        (
            {"os.rename", "os.replace", "os.link", "os.renames", ".rename", ".hardlink_to"},
            {"pipelines/local_files.py", "sstrack/models/package.py"},
        ),
        # A fork server ends the one child that it made itself, and imports nothing for its memory's sake.
        ({"os.kill", "os.killpg"}, {"pipelines/ingest/video/decoding/fork_server.py"}),
        ({".memory_info", ".memory_full_info"}, {"pipelines/processes.py"}),
        ({".children"}, {"pipelines/processes.py"}),
    ],
)
def test_it_stands_in_one_place(names: set[str], places: set[str]) -> None:
    modules = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in modules if names & set(calls(path))}
    assert len(modules) > 300
    assert found == places
