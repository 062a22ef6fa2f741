"""All metrics of one server process, on a registry of their own.

Counters and histograms live in the process: several servers are summed by Prometheus. Gauges of the database
are read at the scrape, and every server tells the same of them.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder

from projectw_server.metrics.census import Census
from projectw_server.metrics.moves import MoveMetrics
from projectw_server.metrics.requests import RequestMetrics
from projectw_shared import __version__
from projectw_shared.errors import every_error

DATABASE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

BEAT_OUTCOMES = frozenset({"assigned", "abort", "drain", "nothing", "gone"} | {e.code for e in every_error()})
"""How a heartbeat can end: with news, with none, without its client, or with an error's code."""


class Metrics:
    """Everything that /metrics shows; whoever counts something holds the family that it counts in."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("projectw_build", "What runs here", registry=registry).info({"version": __version__})
        self.requests = RequestMetrics(registry)
        self.moves = MoveMetrics(registry)
        self._heartbeats = Counter(
            "projectw_heartbeats",
            "Heartbeats answered, by what they were of and how they ended",
            ["kind", "outcome"],
            registry=registry,
        )
        self.held_heartbeats = Gauge(
            "projectw_held_heartbeats", "Heartbeats that wait for news just now", registry=registry
        )
        self.streams = Gauge(
            "projectw_event_streams", "Live event streams that are open just now", registry=registry
        )
        self.upload_bytes = Counter(
            "projectw_upload_received_bytes", "Bytes of uploads that came in", registry=registry
        )
        self._database = Histogram(
            "projectw_database_duration_seconds",
            "Time from asking the database to its answer, waiting for its turn included, by what was asked",
            ["kind"],
            buckets=DATABASE_BUCKETS,
            registry=registry,
        )
        self._lag = Histogram(
            "projectw_event_loop_lag_seconds",
            "How much later than asked for the event loop came to what was due",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self._census = CensusGauges(registry)

    def note_heartbeat(self, kind: str, outcome: str) -> None:
        """Count a heartbeat of an ``idle`` or a ``working`` runner."""
        self._heartbeats.labels(kind, outcome if outcome in BEAT_OUTCOMES else "other").inc()

    def note_database(self, kind: str, seconds: float) -> None:
        """Count a ``statement`` or a ``transaction``."""
        self._database.labels(kind).observe(seconds)

    def note_lag(self, seconds: float) -> None:
        """Count one look at the event loop."""
        self._lag.observe(seconds)

    def render(self, census: Census, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type: Prometheus' own, or OpenMetrics where ``accept`` asks for it."""
        self._census.show(census)
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class CensusGauges:
    """What is read at the scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Gauge("projectw_jobs", "Jobs that are not over, by state", ["state"], registry=registry)
        self._audio = Gauge(
            "projectw_queue_audio_seconds",
            "Audio that waits: by its length where that is known, else estimated from its size",
            registry=registry,
        )
        self._oldest = Gauge(
            "projectw_queue_oldest_age_seconds",
            "How long ago the oldest job that waits was submitted; 0 when none waits",
            registry=registry,
        )
        self._runners = Gauge(
            "projectw_runners", "Runners by state; one may be in several", ["state"], registry=registry
        )
        self._online = Gauge("projectw_runners_online", "Runners that called lately", registry=registry)
        self._known = Gauge("projectw_runners_known", "Runners that have a token", registry=registry)

    def show(self, census: Census) -> None:
        """Take the figures of ``census``."""
        for state, count in census.jobs.items():
            self._jobs.labels(state.value).set(count)
        self._audio.set(census.audio_seconds)
        self._oldest.set(census.oldest_age)
        for name, count in census.runners.items():
            self._runners.labels(name).set(count)
        self._online.set(census.runners["online"])
        self._known.set(census.known)
