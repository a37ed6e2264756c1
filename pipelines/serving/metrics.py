"""What the server counts, in Prometheus' words."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counts of one server, in a registry of its own. `way` is `upload`, `uri` or `live`."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        by_way = ["way"]
        self._requests = Counter("sstrack_requests", "Ended requests, by HTTP status.", ["way", "status"], registry=own)
        self._refusals = Counter("sstrack_refusals", "Refused, by what was wrong.", ["way", "reason"], registry=own)
        self._frames = Counter("sstrack_frames", "Frames answered.", by_way, registry=own)
        self._sessions = Gauge("sstrack_sessions", "Videos and live connections now.", by_way, registry=own)
        self._batches = Histogram("sstrack_batch_size", "Sessions in one call.", buckets=_SIZES, registry=own)
        self._batch_s = Histogram("sstrack_batch_seconds", "Time of one call.", buckets=_SECONDS, registry=own)
        self._latency = Histogram(
            "sstrack_frame_seconds", "From a frame's arrival to its answer.", by_way, buckets=_SECONDS, registry=own
        )

    def ended(self, way: str, status: int, reason: str = "") -> None:
        """A request has ended; `reason` says what was refused."""
        self._requests.labels(way, str(status)).inc()
        if reason:
            self._refusals.labels(way, reason).inc()

    def answered(self, way: str, seconds: float) -> None:
        """A frame has its answer, `seconds` after it came."""
        self._frames.labels(way).inc()
        self._latency.labels(way).observe(seconds)

    def sessions(self, way: str, change: int) -> None:
        """One more (1) or one less (-1)."""
        self._sessions.labels(way).inc(change)

    def batch(self, size: int, seconds: float) -> None:
        """The network was called."""
        self._batches.observe(size)
        self._batch_s.observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
