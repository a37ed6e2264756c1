"""Whom a training tells what."""

from collections.abc import Callable, Mapping

OnProgress = Callable[[Mapping[str, float], int], None]
"""Called with a row of metrics, `step` in it, and the number of all steps."""
Opened = Callable[[str, str | None], None]
"""Called with the id of the MLflow run when it is open, and its page where MLflow is a server."""
Submits = Callable[[str, str], None]
"""Called with the job server's address and the run key before their job is looked for and submitted: whoever has to
stop it later needs no more than these."""
