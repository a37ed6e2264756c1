"""How a training runs, as opposed to what it computes: nothing here is part of the run's key."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from pipelines.errors import UsageError

Span = Annotated[
    str,
    BeforeValidator(lambda given: str(given) if isinstance(given, int) else given),
    Field(pattern=r"^\d{1,7}(-\d{1,7})?$", examples=["4", "2-8"]),
]
"""A number, or a range with both ends in it: `4`, `2-8`."""


def ends(span: str) -> tuple[int, int]:
    """First and last number of a span."""
    first, _, last = span.partition("-")
    return int(first), int(last or first)


def worker_range(workers: int | str) -> str:
    """Ray Train workers as a span: a number, or a range within which a training takes what the cluster has, and grows
    or shrinks with it; 0 trains in the calling process, without Ray.

    Raises UsageError for anything else.
    """
    try:
        span = TypeAdapter(Span).validate_python(workers)
    except ValidationError:
        raise UsageError(f"workers {workers!r}: write a number, or a range like 2-8") from None
    least, most = ends(span)
    if most < least or (least == 0 and most > 0):
        raise UsageError(f"workers {workers!r}: a range ascends and starts at 1 or more")
    return span


class TrainOptions(BaseModel):
    """Ways to spread the work, patience, and what is kept and shown."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    parallel: Literal["ddp", "fsdp"] = "ddp"
    """Whole copies of the network on every worker, or parameters, gradients and optimiser sharded over them (FSDP2),
    for backbones that do not fit; sharded, every worker needs the same number of groups."""
    keep: int = Field(default=2, ge=1, le=1000)
    """Newest checkpoints that stay, beside the best one."""
    max_failures: int = Field(default=3, ge=0, le=1000)
    """How often workers are started again after some of them were lost, before the training fails."""
    wait_s: int | None = Field(default=None, ge=0, le=7 * 86_400)
    """Seconds to wait for a joined cluster to grow to the least number of workers; autoscaling ones are asked to. By
    default `SSTRACK_WAIT_S` of where the training is driven, 0 if that is not set."""
    view_every: int | None = Field(default=None, ge=0)
    """Steps between pictures of what the network sees and finds; by default there are ten, 0 for none."""
    profile: Annotated[str, BeforeValidator(lambda given: str(given) if isinstance(given, int) else given)] = ""
    """First and last step to profile, `20-25` say; empty for none."""
    timeout_s: int = Field(default=600, ge=5, le=86_400)
    """Seconds that workers wait for one of them before the attempt ends and says which one is missing."""


def train_options(given: Mapping[str, Any]) -> TrainOptions:
    """Options from plain values. Raises UsageError that names what is wrong with which."""
    try:
        return TrainOptions(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "options"
        raise UsageError(f"training option {name}: {first['msg']} (given: {first['input']!r})") from error
