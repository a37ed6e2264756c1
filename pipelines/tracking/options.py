"""A recipe's tracking configuration with a person's changes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipelines.errors import UsageError
from sstrack.configs.tracking import TrackingConfig


def tracking_config(base: TrackingConfig, changes: Mapping[str, Any]) -> TrackingConfig:
    """`base` with `changes`. Raises UsageError for a field that does not exist or a value out of bounds."""
    try:
        return dataclasses.replace(base, **changes)
    except (TypeError, ValueError) as error:
        known = ", ".join(field.name for field in dataclasses.fields(base))
        raise UsageError(f"tracking options {dict(changes)}: {error}. Known options: {known}") from error
