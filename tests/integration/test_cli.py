"""`sstrack` as a person types it: one JSON object, exit codes, one sentence instead of a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

from pipelines.locks import work_lock
from tests.factories import write_package, write_sequences

SSTRACK = str(Path(sys.executable).with_name("sstrack"))


def sstrack(*words: object, cwd: Path, work: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SSTRACK_WORK": str(work), "SSTRACK_WORKERS": "2"}
    return subprocess.run(
        [SSTRACK, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=240
    )


def test_evaluate_takes_relative_paths_and_prints_one_json_object(tmp_path: Path, work: Path):
    write_package(tmp_path / "package")
    write_sequences(tmp_path / "root", {"one": 4, "two": 3})
    words = ("--model", "package", "--root", "root", "--out", "results", "--workers", 0, "--json")
    evaluated = sstrack("evaluate", *words, cwd=tmp_path, work=work)
    assert evaluated.returncode == 0, evaluated.stderr
    report = json.loads(evaluated.stdout)
    assert set(report["per_sequence"]) == {"one", "two"}
    assert Path(report["results"]).is_relative_to(tmp_path / "results")


def test_ingest_info_and_sheet(tmp_path: Path, work: Path, real_videos: Path):
    video = real_videos / "street_426x240.mp4"
    done = sstrack("ingest", video, "--out", "set", "--set", "max_frames=30", "--json", cwd=tmp_path, work=work)
    assert done.returncode == 0, done.stderr
    info = json.loads(sstrack("dataset", "info", "set", "--json", cwd=tmp_path, work=work).stdout)
    assert set(info) >= {"manifest", "clips", "shards", "seconds", "sources", "rejects"}
    assert info["manifest"] == json.loads(done.stdout)["manifest"]
    sheet = sstrack("dataset", "sheet", "set", "--json", cwd=tmp_path, work=work)
    assert json.loads(sheet.stdout)["clips"] == info["clips"], sheet.stderr
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_input_gives_a_sentence_and_the_right_exit_code(tmp_path: Path, work: Path):
    cases = (
        (("ingest", "nowhere", "--out", "set"), 1, "nowhere"),
        (("ingest", "x", "--out", "set", "--set", "fps=-1"), 2, "fps"),
        (("ingest", "x", "--out", "set", "--set", "blur=1"), 2, "you probably meant blur_level"),
        (("ingest", "x", "--out", ""), 2, "an empty path"),
        (("track", "x", "--box", "1,2,3"), 2, "--box"),
        (("train", "set", "--recipe", "tiny_cpuu"), 2, "tiny_cpu"),
        (("evaluate", "--root", "x", "--benchmark", "foldr"), 2, "did you mean folder"),
        (("fly",), 2, "fly"),
    )
    for words, code, told in cases:
        done = sstrack(*words, cwd=tmp_path, work=work)
        assert (done.returncode, done.stdout) == (code, ""), (words, done.stdout, done.stderr)
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "set").exists()


def test_a_second_demo_is_refused_at_once(tmp_path: Path, work: Path):
    with work_lock(work, "demo"):
        done = sstrack("demo", "--work", work, cwd=tmp_path, work=work)
    assert done.returncode == 1
    assert done.stderr == f"sstrack: another sstrack demo (pid {os.getpid()}) is using {work}; " + (
        "wait for it or choose another folder.\n"
    )
