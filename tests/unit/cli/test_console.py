"""What commands share, and what importing the command line costs."""

import subprocess
import sys

import pytest

from cli.console import exit_code, parse_box, parse_settings
from cli.demo.surroundings import demo_environment
from flows.training_progress import in_words
from pipelines.errors import GateRefused, SSTrackError, UsageError


def test_overrides_are_json_where_they_can_be_and_text_elsewhere():
    assert parse_settings(["a.b=3", "c=0.5", "d=true", "e=word", "f=a=b"]) == {
        "a.b": 3,
        "c": 0.5,
        "d": True,
        "e": "word",
        "f": "a=b",
    }
    with pytest.raises(UsageError, match="name=value"):
        parse_settings(["steps"])


def test_a_box_is_four_numbers_with_an_area():
    assert parse_box("1,2.5,3,4") == (1, 2.5, 3, 4)
    for wrong in ("1,2,3", "a,b,c,d", "1,2,0,4"):
        with pytest.raises(UsageError, match="--box"):
            parse_box(wrong)


def test_a_row_of_training_metrics_becomes_what_a_person_waits_for():
    row = {"step": 10, "loss": 3.214, "backward_iou": 0.414, "samples_per_s": 85.04, "data_wait": 0.034, "skipped": 0.0}
    assert in_words(row) == "loss 3.21, backward IoU 0.41, 85.0 samples/s, 3% waiting for data"
    measured = {"loss": 1.0, "search_iou": 0.5, "validation_search_iou": 0.25, "skipped": 2.0}
    assert in_words(measured) == "loss 1.00, search IoU 0.50, validation IoU 0.25, 2 steps skipped"
    assert in_words({"loss": 1.0, "backward_iou": float("nan")}) == "loss 1.00"


def test_exit_codes_say_what_kind_of_failure_it_was():
    assert [exit_code(kind("x")) for kind in (SSTrackError, UsageError, GateRefused)] == [1, 2, 3]


def test_the_command_line_imports_nothing_heavy():
    """`sstrack --help` answers within a second because of this."""
    heavy = "torch ray mlflow prefect cv2 av pyarrow numpy pydantic"
    code = f"import cli.main, sys; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_demo_refuses_to_start_after_prefect_was_imported(tmp_path):
    import prefect  # noqa: F401

    with pytest.raises(RuntimeError, match="before Prefect"):
        demo_environment(tmp_path)
