"""Filters in words that PyAV's filter graphs and ffmpeg's command line both understand."""

from typing import Any

import av.filter

Filter = tuple[str, dict[str, Any]]
Chain = tuple[Filter, ...]


def link(graph: av.filter.Graph, node: Any, port: int, chain: Chain) -> Any:
    """Add the filters of `chain` to a graph behind output `port` of `node`; returns the last node."""
    for name, options in chain:
        following = graph.add(name, ":".join(f"{key}={_quoted(value)}" for key, value in options.items()))
        node.link_to(following, port)
        node, port = following, 0
    return node


def _quoted(value: Any) -> str:
    """A value that keeps its colons, quotes and backslashes through the splitting of a filter's options."""
    return "".join(f"\\{letter}" if letter in "\\':" else letter for letter in str(value))
