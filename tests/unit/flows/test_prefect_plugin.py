"""Which command lines the plugin touches. The whole command is run in the integration tests."""

import pytest

from flows.prefect_plugin import _name_position, _words_after_run


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("prefect deployment run ingest-videos", "ingest-videos"),
        ("prefect deployments run ingest-videos --watch", "ingest-videos"),
        ("prefect --profile dev deployment run --param a=b --watch x", "x"),
        ("prefect deployment run x/x -p a=1", "x/x"),
        ("prefect deployment run --id 1234", None),
    ],
)
def test_the_name_of_a_deployment_run_is_found(line: str, name: str | None):
    argv = line.split()
    start = _words_after_run(argv)
    assert start is not None
    position = _name_position(argv, start)
    assert (argv[position] if position is not None else None) == name


@pytest.mark.parametrize(
    "line",
    ["prefect", "prefect deployment ls", "prefect flow-run ls", "prefect deployment run --help"],
)
def test_other_commands_are_left_alone(line: str):
    assert _words_after_run(line.split()) is None
