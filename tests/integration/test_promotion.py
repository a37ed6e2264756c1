"""Who is champion: one journal, aliases that follow it, and two who promote at once, on a real MLflow SQLite store."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from pipelines.errors import GateRefused, SSTrackError
from pipelines.registry.names import CHAMPION, PREVIOUS, PROMOTED_AT
from pipelines.registry.promotion import Overtaken, journal_of, promote, refuse, rollback, state_of
from pipelines.registry.registered_model import aliases_of, ensure_registered
from pipelines.registry.runs import registry_client
from pipelines.registry.versions import champion, versions
from tests.s3 import S3Server

NAME = "sstrack"
WHO: dict[str, Any] = {"actor": "tests", "reason": "a test"}


@pytest.fixture
def registry(mlflow_uri: str) -> str:
    """A store with five versions, which need no packages to be promoted."""
    client = registry_client(mlflow_uri)
    ensure_registered(client, NAME)
    for number in range(1, 6):
        tags = {"sstrack.package_digest": f"{number:064d}", "sstrack.verdict": "refused" if number == 5 else "passed"}
        client.create_model_version(NAME, source=f"/nowhere/{number}", tags=tags)
    return mlflow_uri


def aliases(uri: str) -> dict[str, str]:
    return aliases_of(registry_client(uri), NAME)


def test_promotions_and_rollbacks_move_both_aliases_and_each_is_written_down(registry: str):
    for version, expected in (("1", None), ("2", "1"), ("3", "2")):
        assert promote(registry, NAME, version, expected=expected, **WHO).moved
    assert aliases(registry) == {CHAMPION: "3", PREVIOUS: "2"}
    again = promote(registry, NAME, "3", expected="2", **WHO)
    assert not again.moved and "nothing new" in again.outcome

    back = rollback(registry, NAME, None, expected="3", **WHO)
    assert back.moved and aliases(registry) == {CHAMPION: "2", PREVIOUS: "1"}
    twice = rollback(registry, NAME, None, expected="2", **WHO)
    assert not twice.moved and "nothing was promoted since" in twice.outcome
    assert rollback(registry, NAME, "1", expected="2", **WHO).moved
    assert aliases(registry) == {CHAMPION: "1"}
    with pytest.raises(GateRefused, match="version 4 of sstrack was never champion"):
        rollback(registry, NAME, "4", expected="1", **WHO)
    assert sorted(state_of(registry, NAME).withdrawn) == ["2", "3"]

    assert promote(registry, NAME, "3", expected="1", **WHO).moved
    assert state_of(registry, NAME).withdrawn == ("2",)
    assert promote(registry, NAME, "2", expected="3", **WHO).moved
    assert promote(registry, NAME, "3", expected="2", **WHO).moved
    assert rollback(registry, NAME, None, expected="3", **WHO).moved
    assert state_of(registry, NAME).line == ("1", "3", "2") and state_of(registry, NAME).withdrawn == ("3",)
    entries = journal_of(registry, NAME).entries()
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [(e.action, e.expected, e.version) for e in entries[2:4]] == [("promote", "2", "3"), ("rollback", "3", "2")]
    assert all(entry.actor == "tests" and entry.reason == "a test" for entry in entries)


def test_a_promotion_names_the_champion_it_was_decided_against(registry: str):
    promote(registry, NAME, "1", expected=None, **WHO)
    with pytest.raises(Overtaken, match=r"version 1 was made champion meanwhile by tests at .* \(a test\)"):
        promote(registry, NAME, "2", expected=None, **WHO)
    assert champion_is(registry) == "1"
    tags = {version.version: version.tags for version in versions(registry, NAME)}
    assert PROMOTED_AT in tags["1"] and PROMOTED_AT not in tags["2"]


def test_what_the_gate_did_not_let_pass_takes_an_override(registry: str):
    with pytest.raises(GateRefused, match="the gate refused version 5"):
        promote(registry, NAME, "5", expected=None, **WHO)
    assert journal_of(registry, NAME).last() is None
    assert promote(registry, NAME, "5", expected=None, override=True, **WHO).moved
    with pytest.raises(SSTrackError, match="no version 9"):
        promote(registry, NAME, "9", expected="5", **WHO)
    with pytest.raises(GateRefused, match="no champion of sstrack before"):
        rollback(registry, NAME, None, expected="5", **WHO)


def test_refusals_are_counted_for_each_champion_and_once_for_each_version(registry: str):
    def refused(version: str, expected: str | None) -> int:
        number = state_of(registry, NAME).trial(version)
        refuse(registry, NAME, version, expected=expected, verdict={}, **WHO)
        return number

    assert [refused(version, None) for version in ("1", "2", "1")] == [1, 2, 1]
    promote(registry, NAME, "3", expected=None, **WHO)
    assert [refused(version, "3") for version in ("4", "4", "5")] == [1, 1, 2]
    promote(registry, NAME, "1", expected="3", override=True, **WHO)
    rollback(registry, NAME, None, expected="1", **WHO)
    assert state_of(registry, NAME).trial("2") == 3


def test_aliases_are_put_right_after_a_death_and_after_a_hand_in_mlflow(registry: str):
    client = registry_client(registry)
    promote(registry, NAME, "1", expected=None, **WHO)
    promote(registry, NAME, "2", expected="1", **WHO)
    client.set_registered_model_alias(NAME, CHAMPION, "4")
    client.delete_registered_model_alias(NAME, PREVIOUS)
    assert champion_is(registry) == "2" and aliases(registry) == {CHAMPION: "2", PREVIOUS: "1"}
    # Killed after the journal took it and before MLflow heard of it.
    code = (
        "import os, sys\n"
        "from pipelines.registry import promotion\n"
        "promotion.state_of = lambda uri, name: os._exit(9)\n"
        "promotion.promote(sys.argv[1], 'sstrack', '3', expected='2', actor='dying', reason='r', verdict={})\n"
    )
    assert subprocess.run([sys.executable, "-c", code, registry]).returncode == 9
    assert aliases(registry)[CHAMPION] == "2"
    assert champion_is(registry) == "3" and aliases(registry) == {CHAMPION: "3", PREVIOUS: "2"}
    tags = next(version.tags for version in versions(registry, NAME) if version.version == "3")
    assert tags["sstrack.decided_by"] == "dying"


def champion_is(uri: str) -> str | None:
    found = champion(uri, NAME)
    return found.version if found else None


def test_a_champion_from_before_there_was_a_journal_is_taken_over(registry: str):
    client = registry_client(registry)
    client.set_registered_model_alias(NAME, CHAMPION, "2")
    client.set_registered_model_alias(NAME, PREVIOUS, "1")
    assert champion_is(registry) == "2"
    with pytest.raises(Overtaken):
        promote(registry, NAME, "3", expected=None, **WHO)
    promote(registry, NAME, "3", expected="2", **WHO)
    rollback(registry, NAME, "1", expected="3", **WHO)
    assert [entry.action for entry in journal_of(registry, NAME).entries()] == ["adopt", "promote", "rollback"]


def test_a_journal_of_another_registry_decides_nothing(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    promote(registry, NAME, "1", expected=None, **WHO)
    monkeypatch.setenv("SSTRACK_JOURNAL", str(tmp_path / "elsewhere"))
    with pytest.raises(SSTrackError, match="set SSTRACK_JOURNAL"):
        promote(registry, NAME, "2", expected="1", **WHO)
    assert champion_is(registry) == "1" and "set SSTRACK_JOURNAL" in caplog.text
    monkeypatch.delenv("SSTRACK_JOURNAL")
    registry_client(registry).set_model_version_tag(NAME, "1", "sstrack.package_digest", "another")
    with pytest.raises(SSTrackError, match="another registry"):
        promote(registry, NAME, "2", expected="1", **WHO)
    next((Path(journal_of(registry, NAME).folder)).glob("*.json")).write_text("{}")
    with pytest.raises(SSTrackError, match="no decision of ours"):
        promote(registry, NAME, "2", expected="1", **WHO)


RACE = """
import sys, time
from pathlib import Path
from typing import Any
from pipelines.errors import GateRefused
from pipelines.registry.promotion import promote
uri, version, gate = sys.argv[1:]
Path(gate, version).touch()
while len(list(Path(gate).iterdir())) < 3:
    time.sleep(0.05)
try:
    promote(uri, "sstrack", version, expected="1", actor=f"promoter {version}", reason="a race")
except GateRefused as error:
    print(error)
    sys.exit(3)
"""


def race(uri: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    promote(uri, NAME, "1", expected=None, **WHO)
    runs = {
        version: subprocess.Popen(
            [sys.executable, "-c", RACE, uri, version, str(gate)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )
        for version in ("2", "3", "4")
    }  # fmt: skip
    said = {version: run.communicate(timeout=900) for version, run in runs.items()}
    codes = {version: run.returncode for version, run in runs.items()}
    assert sorted(codes.values()) == [0, 3, 3], said
    (winner,) = (version for version, code in codes.items() if code == 0)
    for version, code in codes.items():
        if code == 3:
            assert f"version {winner} was made champion meanwhile by promoter {winner}" in said[version][0]
    assert aliases(uri) == {CHAMPION: winner, PREVIOUS: "1"} and champion_is(uri) == winner
    entries = journal_of(uri, NAME).entries()
    assert [entry.version for entry in entries] == ["1", winner]
    marked = {version.version for version in versions(uri, NAME) if PROMOTED_AT in version.tags}
    assert marked == {"1", winner}


@pytest.mark.timeout(1200)
def test_of_three_who_promote_at_once_one_wins_and_the_others_are_told(registry: str, tmp_path: Path):
    race(registry, tmp_path)


@pytest.mark.timeout(1200)
def test_the_same_with_the_journal_on_s3(
    registry: str, tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSTRACK_JOURNAL", s3_server.url("journal"))
    race(registry, tmp_path)


def test_the_command_line_promotes_rolls_back_and_exits_3_when_refused(registry: str, work: Path):
    def sstrack(*words: str) -> Result:
        return CliRunner().invoke(app, ["models", *words])

    assert sstrack("promote", "1", "--reason", "the first").exit_code == 0
    refused = sstrack("promote", "5", "--reason", "hope")
    assert refused.exit_code == 3 and "the gate refused version 5" in refused.stderr
    stale = sstrack("promote", "models:/sstrack/2", "--reason", "r", "--expect", "4")
    assert stale.exit_code == 3 and "it was to replace version 4" in stale.stderr
    done = sstrack("promote", "2", "--reason", "better", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["champion"] == "2"
    assert sstrack("promote", "2").exit_code == 2  # no reason
    back = sstrack("rollback", "--reason", "it loses dogs")
    assert back.exit_code == 0 and "version 1 is the champion again" in back.stdout
    listed = sstrack("history")
    assert "rollback version 1, champion 2 → 1, by " in " ".join(listed.stdout.split())
    assert "it loses dogs" in listed.stdout
