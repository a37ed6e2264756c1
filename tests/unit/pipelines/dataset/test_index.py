"""Shard indexes survive the trip through bytes, and refuse what is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dataset.index import ClipSpan, format_index, parse_index

spans = st.dictionaries(
    st.text("0123456789abcdef", min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 2**48), st.integers(1, 2**31 - 1)), min_size=1, max_size=30),
    max_size=8,
)


@given(spans)
def test_an_index_reads_back_as_it_was_written(places: dict[str, list[tuple[int, int]]]) -> None:
    index = {
        clip: ClipSpan(np.array([o for o, _ in rows], np.int64), np.array([s for _, s in rows], np.int32))
        for clip, rows in places.items()
    }
    again = parse_index(format_index(index))
    assert list(again) == list(index)
    for clip, span in index.items():
        np.testing.assert_array_equal(again[clip].offsets, span.offsets)
        np.testing.assert_array_equal(again[clip].sizes, span.sizes)


@given(st.integers(0, 60))
def test_a_cut_index_is_refused(length: int) -> None:
    data = format_index({"clip": ClipSpan(np.arange(5, dtype=np.int64), np.ones(5, np.int32))})
    with pytest.raises(ValueError, match=r"index|length|Expecting|delimiter|Unterminated"):
        parse_index(data[: min(length, len(data) - 1)])
