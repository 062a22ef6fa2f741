"""HTTP requests as numbers: by route and never by path, so that nobody can make series without end."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""Stands for every path and every method that is none of ours."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RequestMetrics:
    """Requests answered, under way, waiting and refused."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answered = Counter(
            "projectw_http_requests",
            "Requests answered, by route, method and status; 499 when the client left before",
            ["route", "method", "status"],
            registry=registry,
        )
        self._duration = Histogram(
            "projectw_http_request_duration_seconds",
            "Time from a request to the end of its answer, less what was spent waiting for news or for the client",
            ["route", "method"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._refused = Counter(
            "projectw_http_refused",
            "Requests answered 503 at the door because the server was busy, by urgency",
            ["urgency"],
            registry=registry,
        )
        self._refused_connections = Counter(
            "projectw_http_refused_connections",
            "Connections beyond the most that are accepted",
            registry=registry,
        )
        self.in_flight = Gauge(
            "projectw_http_requests_in_flight",
            "Requests that are worked on just now, by urgency; those that wait for news or a client not counted",
            ["urgency"],
            registry=registry,
        )
        self.waiting = Gauge(
            "projectw_http_requests_waiting",
            "Requests that wait for their turn just now, unread, by urgency",
            ["urgency"],
            registry=registry,
        )

    def note(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that took ``seconds`` of work."""
        method = method if method in METHODS else OTHER
        self._answered.labels(route, method, str(status)).inc()
        self._duration.labels(route, method).observe(seconds)

    def note_refusal(self, urgency: str) -> None:
        """Count a request that was refused unread."""
        self._refused.labels(urgency).inc()

    def note_refused_connection(self) -> None:
        """Count a connection that was one too many."""
        self._refused_connections.inc()
