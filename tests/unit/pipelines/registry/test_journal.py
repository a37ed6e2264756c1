"""The journal on its own: entries of many processes, each number once, and each decided on what was true by then."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import SSTrackError
from pipelines.registry.journal import Journal, State

WRITER = """
import sys
from pipelines.registry.journal import Journal
folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(count):
    version = f"{name}{number}"
    Journal(folder).append(
        lambda now: now.model_copy(update={"line": (*now.line, version)}),
        action="promote", version=version, actor=name, reason="a race",
    )
"""


def test_of_many_writers_nothing_is_lost_and_nothing_doubled(tmp_path: Path):
    folder = str(tmp_path / "journal")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, folder, name, "12"], stderr=subprocess.PIPE) for name in "abc"
    ]
    for writer in writers:
        _, said = writer.communicate()
        assert writer.returncode == 0, said
    entries = Journal(folder).entries()
    assert [entry.number for entry in entries] == list(range(1, 37))
    assert {entry.journal for entry in entries} == {entries[0].journal}
    for before, after in zip([None, *entries], entries, strict=False):
        line = before.state.line if before else ()
        assert after.expected == (line[-1] if line else None)
        assert after.state.line == (*line, after.version)
    assert sorted(entries[-1].state.line) == sorted(f"{name}{number}" for name in "abc" for number in range(12))


def test_who_decides_on_what_is_gone_is_told_and_writes_nothing(tmp_path: Path):
    journal = Journal(str(tmp_path))

    def only_first(now: State) -> State:
        if now.line:
            raise ValueError(f"{now.champion} came first")
        # Another one decides between our look and our put.
        Journal(str(tmp_path)).append(
            lambda _: State(line=("2",)), action="promote", version="2", actor="other", reason="r"
        )
        return State(line=("1",))

    with pytest.raises(ValueError, match="2 came first"):
        journal.append(only_first, action="promote", version="1", actor="us", reason="r")
    assert [entry.version for entry in journal.entries()] == ["2"]
    assert journal.append(lambda now: None, action="promote", version="3", actor="us", reason="r") is None


def test_an_entry_that_is_not_ours_is_named(tmp_path: Path):
    (tmp_path / "00000001.json").write_text('{"number": 1, "surprise": true}')
    with pytest.raises(SSTrackError, match=r"00000001\.json is no decision of ours"):
        Journal(str(tmp_path)).last()


def test_a_challenger_that_was_tried_keeps_its_number():
    state = State(line=("4",), tried={"4": ("5", "6"), "none": ("1", "2", "3")})
    assert [state.trial(version) for version in ("5", "6", "7")] == [1, 2, 3]
    assert State(tried=state.tried).trial("9") == 4
