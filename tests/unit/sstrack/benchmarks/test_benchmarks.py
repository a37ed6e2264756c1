"""Every registered benchmark, and the `folder` layout."""

from pathlib import Path

import numpy as np
import pytest

from sstrack.benchmarks.registry import benchmark, benchmark_names, register
from tests.factories import write_sequences


@pytest.mark.parametrize("name", benchmark_names())
def test_an_entry_is_complete_and_refuses_a_missing_root(name: str, tmp_path: Path):
    entry = benchmark(name)
    assert entry.name == name
    assert entry.version
    assert entry.layout
    assert len({entry.expected, len(entry.official)} - {0}) <= 1
    with pytest.raises(ValueError, match="nowhere"):
        entry.read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="empty"):
        (tmp_path / "empty").mkdir()
        entry.find(tmp_path / "empty")


@pytest.mark.parametrize("name", [name for name in benchmark_names() if benchmark(name).rules])
def test_every_rule_says_what_it_does_with_what_is_not_plain(name: str):
    names: list[str] = []
    for rule in benchmark(name).rules:
        text = " ".join(rule.describe.lower().split())
        names += [rule.name, *rule.aliases]
        if rule.describe:
            for topic in ("invalid truth", "predictions", "first frame", "length" if "length" in text else "cut"):
                assert topic in text, f"{rule.name}: {topic}"
    assert len(names) == len(set(names))


def test_an_unknown_name_suggests_near_ones():
    with pytest.raises(ValueError, match="did you mean folder"):
        benchmark("foldr")
    with pytest.raises(ValueError, match="no rule 'offcial'; it has official, pytracking, ostrack, got10k, pysot"):
        benchmark("otb100").rule("offcial")


def test_a_name_is_registered_once():
    from dataclasses import replace

    assert register(benchmark("folder")) is benchmark("folder")
    with pytest.raises(ValueError, match="twice"):
        register(replace(benchmark("folder"), version="2"))


def test_folder_reads_images_beside_or_below_and_any_separator(tmp_path: Path):
    write_sequences(tmp_path, {"b": 3, "a": 4})
    (tmp_path / "a" / "img").mkdir()
    for image in sorted((tmp_path / "a").glob("*.png")):
        image.rename(tmp_path / "a" / "img" / image.name)
    (tmp_path / "a" / "groundtruth.txt").write_text("1,2,3,4\n1\t2\t3\t4\n1 2 3 4\nnan,nan,nan,nan\n")
    first, second = benchmark("folder").read(tmp_path)
    assert (first.name, second.name) == ("a", "b")
    assert first.boxes[2].tolist() == [1, 2, 3, 4]
    assert np.isnan(first.boxes[3]).all()
    assert first.visible.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1,2,3,4\n1,2,3\n1,2,3,4\n", "line 2"),
        ("1,2,3,4\n1,2,x,4\n1,2,3,4\n", "line 2"),
        ("1,2,3,4\n", "1 boxes for 3 images"),
        ("nan,nan,nan,nan\n" * 3, "first"),
        ("", "empty"),
    ],
)
def test_folder_says_which_file_is_wrong(tmp_path: Path, text: str, problem: str):
    write_sequences(tmp_path, {"street": 3})
    (tmp_path / "street" / "groundtruth.txt").write_text(text)
    with pytest.raises(ValueError, match=rf"street.*{problem}|{problem}.*street"):
        benchmark("folder").read(tmp_path)
