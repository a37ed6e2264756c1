"""When something is not well any more."""

from pydantic import BaseModel, ConfigDict, Field


class HealthLimits(BaseModel):
    """Where a finding becomes an alarm."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    champion_days: float = Field(default=30.0, gt=0, le=3650)
    """A champion that was promoted longer ago than this, in days, is stale."""
    unseen_share: float = Field(default=0.5, ge=0, le=1)
    """The champion is behind where it was not trained on more than this share of the dataset's clips."""
    failed_share: float = Field(default=0.2, ge=0, le=1)
    """Sources go wrong where more than this share of them gave no clip because they were broken or set aside."""
    stuck_hours: float = Field(default=24.0, gt=0, le=8760)
    """A run that is under way, or late, for longer than this, in hours, is stuck."""
