"""What an ingest did, in numbers: the report it returns and the line it logs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.dataset.manifest import Manifest


@dataclass(frozen=True)
class IngestReport:
    """The dataset after an ingest. `clips`, `rejects`, `shards` and `seconds_in` count the whole dataset;
    `published` is False where nothing was new."""

    manifest: str
    published: bool
    sources_new: int
    sources_known: int
    seconds_in: float
    clips: int
    clips_new: int
    rejects: Mapping[str, int]
    shards: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def line(self) -> str:
        """The funnel in one line."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.rejects.items())) or "none"
        return (
            f"{self.sources_new} new and {self.sources_known} known sources; dataset {self.manifest[:12]}: "
            f"{self.seconds_in:.1f} s of video, {self.clips} clips ({self.clips_new} new) in {self.shards} shards; "
            f"dropped: {reasons}"
        )


def report_on(manifest: Manifest, *, published: bool, new: int, known: int, clips_new: int) -> IngestReport:
    """The report of an ingest that ended with `manifest` as the newest."""
    return IngestReport(
        manifest=manifest.digest,
        published=published,
        sources_new=new,
        sources_known=known,
        seconds_in=manifest.totals.seconds_in,
        clips=manifest.totals.clips,
        clips_new=clips_new,
        rejects=dict(manifest.totals.rejects),
        shards=len(manifest.shards),
    )
