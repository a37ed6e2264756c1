"""What a training that runs as a Ray job tells whoever follows its log: lines that begin with a mark, JSON after it."""

import json
from typing import Any

_MARK = "sstrack-job "


def say(data: dict[str, Any]) -> None:
    """One marked line, at once."""
    print(f"{_MARK}{json.dumps(data, default=str)}", flush=True)


def heard(line: str) -> dict[str, Any] | None:
    """What a line says, None where it is none of ours."""
    return json.loads(line.removeprefix(_MARK)) if line.startswith(_MARK) else None
