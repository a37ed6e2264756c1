"""What an ingest remembers beside a dataset: names of known bytes, and deaths of workers."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.ingest.pack import SourceRecord
from pipelines.ingest.publish.tables import REJECTS, SOURCES, reject_rows, source_rows
from pipelines.ingest.reject import Reject, kind_of
from pipelines.ingest.state.names import Names
from pipelines.ingest.state.quarantine import Crashes, quarantined, row


def table(**names: dict[str, str]) -> pa.Table:
    """A sources table: source id to its names and their versions."""
    return source_rows(
        SourceRecord(key, min(of), 1, "c", uris=tuple(of), versions=tuple(of.values())) for key, of in names.items()
    )


@pytest.mark.parametrize(
    ("name", "version", "source"),
    [
        ("/a.mp4", "1", "A"),
        ("/copy.mp4", "7", "A"),
        ("/a.mp4", "2", None),  # it changed
        ("/b.mp4", "1", "B"),
        ("/c.mp4", "1", None),
    ],
)
def test_a_name_in_a_version_tells_the_bytes(name: str, version: str, source: str | None, tmp_path: Path) -> None:
    names = Names(str(tmp_path), table(A={"/a.mp4": "1", "/copy.mp4": "7"}, B={"/b.mp4": "1"}))
    assert names.source_of(name, version) == source


def test_names_of_a_source_are_sorted_with_the_newest_version_of_each(tmp_path: Path) -> None:
    names = Names(str(tmp_path), table(A={"/b": "1"}))
    names.add("A", "/a", "5")
    names.add("A", "/b", "2")
    names.add("N", "/new", "1")
    assert names.of("A") == (("/a", "/b"), ("5", "2"))
    assert names.of("N") == (("/new",), ("1",))
    assert names.of("nobody") == ((), ())


def test_a_table_takes_the_new_names_and_is_left_alone_without_any(tmp_path: Path) -> None:
    before = table(A={"/a": "1"}, B={"/b": "1"})
    names = Names(str(tmp_path), before)
    assert names.in_table(before) is before
    names.add("A", "/a", "1")  # nothing new
    assert names.in_table(before) is before
    names.add("A", "/later", "9")
    rows = {found["source_id"]: found for found in names.in_table(before).to_pylist()}
    assert (rows["A"]["uris"], rows["A"]["versions"]) == (["/a", "/later"], ["1", "9"])
    assert rows["B"]["uris"] == ["/b"]


def test_new_names_of_published_sources_wait_for_the_next_manifest(tmp_path: Path) -> None:
    published = table(A={"/a": "1"})
    names = Names(str(tmp_path), published)
    names.add("A", "/later", "9")
    names.add("N", "/new", "1")  # of a source that came to nothing
    names.keep_waiting(["A"])
    again = Names(str(tmp_path), published)
    assert again.source_of("/later", "9") == "A"
    assert again.source_of("/new", "1") is None
    assert Names(str(tmp_path), SOURCES.empty_table()).source_of("/later", "9") is None  # of a dataset without it
    again.forget_waiting()
    assert Names(str(tmp_path), published).source_of("/later", "9") is None


def test_nothing_waits_where_nothing_is_new(tmp_path: Path) -> None:
    Names(str(tmp_path), table(A={"/a": "1"})).keep_waiting(["A"])
    assert not (tmp_path / "_state").exists()


def test_deaths_count_on_over_runs_until_they_are_forgotten(tmp_path: Path) -> None:
    assert [Crashes(str(tmp_path)).one_more("bad.mp4") for _ in range(2)] == [1, 2]
    assert Crashes(str(tmp_path)).counts == {"bad.mp4": 2}
    Crashes(str(tmp_path)).forget()
    assert Crashes(str(tmp_path)).counts == {}


def test_what_is_set_aside_is_told_by_the_rejects_table() -> None:
    rows = [row(key, f"/{key}", reason, "why", "c") for key, reason in (("A", "crashed"), ("B", "deadline"))]
    rows += [row("C", "/c", "unreachable", "why", "c"), Reject("D", "/d", "decode", "deadline", "why", "c")]
    assert quarantined(reject_rows(rows)) == {"A", "B"}
    assert quarantined(REJECTS.empty_table()) == set()


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("unreachable", "transient"),
        ("corrupt", "corrupt"),
        ("no_video", "unsupported"),
        ("too_short", "too_short"),
        ("black", "policy"),
        ("a word of tomorrow", "policy"),
    ],
)
def test_every_reason_has_a_kind(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind
