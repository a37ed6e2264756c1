"""Reports of a dataset whose files have hostile names: nothing of them becomes markup."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dataset.report.funnel import Funnel, Histogram, Loss, Offender
from pipelines.dataset.report.html import html
from pipelines.dataset.report.text import markdown
from pipelines.pages import html_page, markdown_page

SCRIPT, PIPES = "<script>alert(1)</script>.mp4", "a | pipes | `code` [x](y)\n# b.mp4"
PLAIN = Funnel(
    dataset="videos",
    totals={"manifest": "0" * 64, "sources": 3, "shards": 1, "bytes": 3 << 20},
    usable_sources=2, judged=5, clips=4, seeded=3, seconds=60.0, kept_seconds=45.0,
    losses=(Loss("quality", "too_dark", 1, 2.5),),
    histograms={"motion": Histogram(0.0, 2.0, (1, 0, 4), 1)},
    offenders=(Offender("s3://bucket/a.mp4", 30.0, 2.5, ("too_dark",)),),
)  # fmt: skip


def named(text: str) -> Funnel:
    """The funnel with `text` wherever something comes from outside."""
    return dataclasses.replace(
        PLAIN,
        dataset=text,
        losses=(Loss(text, text, 1, 2.5),),
        histograms={text: PLAIN.histograms["motion"]},
        offenders=(Offender(text, 30.0, 2.5, (text,)),),
    )


class Shape(HTMLParser):
    """Tags and their attributes' names, and the text, of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.one_of(st.sampled_from([SCRIPT, PIPES, "'\"><img src=x onerror=y>"]), st.text("<>&'\"/ab|`\n", max_size=20)))
def test_names_in_the_html_change_no_tag(text: str) -> None:
    plain, hostile = Shape(html(PLAIN, b"png")), Shape(html(named(text), b"png"))
    assert hostile.tags == plain.tags
    assert hostile.text.count(text) >= 5


@given(st.one_of(st.sampled_from([SCRIPT, PIPES]), st.text("<>&|`\\*_[]()#!\n a", max_size=20)))
def test_names_in_the_markdown_add_no_line_and_no_cell(text: str) -> None:
    plain, hostile = (markdown(funnel).splitlines() for funnel in (PLAIN, named(text)))
    assert len(plain) == len(hostile)
    for one, two in zip(plain, hostile, strict=True):
        if one.startswith("|"):
            assert two.replace("\\|", "").count("|") == one.count("|")
        outside = re.sub(r"(?<!\\)`[^`]*`", "", two)  # what is not code
        assert "<" not in outside and "`" not in outside.replace("\\`", "")


def test_plain_names_read_as_they_are() -> None:
    page = markdown(PLAIN, b"jpeg")
    assert "| quality | too_dark | 1 | 2.5 |\n" in page
    assert "| `s3://bucket/a.mp4` | 30.0 | 2.5 | too_dark |\n" in page
    assert "| motion | `▂ █` | 2 | 1 |\n" in page
    assert page.startswith("# `videos`\n\nManifest `000") and "(75%), 3 MiB in 1 shards.\n" in page
    assert page.endswith("](data:image/jpeg;base64,anBlZw==)\n")
    shown = Shape(html(PLAIN, b"png"))
    assert "too_dark (quality, 1)" in shown.text and "script" not in dict(shown.tags)


@pytest.mark.parametrize("fill", [html_page, markdown_page])
def test_a_value_that_is_missing_is_an_error(fill, tmp_path: Path) -> None:
    (tmp_path / "page.jinja").write_text("{{ there }}, {{ missing }}\n")
    with pytest.raises(jinja2.UndefinedError, match="missing"):
        fill(tmp_path / "page.jinja", there="x")
