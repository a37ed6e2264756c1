"""`sstrack evaluate` and `report` before any model is loaded: what is wrong with a call is said at once."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.factories import write_sequences


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--benchmark", "otb100", "--benchmark", "lasot", "--root", "/a"],
            "2 --benchmark (otb100, lasot) for 1 --root",
        ),
        (["--root", "/a", "--root", "/b"], "1 --benchmark (folder) for 2 --root"),
        (["--benchmark", "otb1000", "--root", "/nowhere"], "unknown benchmark 'otb1000'"),
        (["--root", "gopher://a/b"], "gopher:// is not known here"),
        (["--root", "/nowhere", "--rule", "ostrach"], "has no rule 'ostrach'"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(work: Path, arguments: list[str], said: str):
    done = CliRunner().invoke(app, ["evaluate", "--model", "untrained:tiny_cpu", *arguments])
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_all_that_is_wrong_is_said_together(work: Path, tmp_path: Path):
    write_sequences(tmp_path / "root", {"one": 3})
    roots = ["--root", str(tmp_path / "root"), "--root", "/nowhere", "--root", str(tmp_path / "root")]
    names = ["--benchmark", "folder", "--benchmark", "otb100", "--benchmark", "lasot"]
    done = CliRunner().invoke(app, ["evaluate", "--model", "untrained:tiny_cpu", *names, *roots])
    words = " ".join(done.stderr.split())
    assert done.exit_code == 1 and not (work / "results").exists()
    assert "benchmark otb100: no folder" in words and "benchmark lasot: " in words


def test_a_report_reads_local_results_only(work: Path, tmp_path: Path):
    done = CliRunner().invoke(app, ["report", "mine=s3://bucket/results", "--out", str(tmp_path / "report")])
    assert done.exit_code == 2 and "s3://bucket/results: a report reads" in " ".join(done.stderr.split())
