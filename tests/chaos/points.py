"""The named points of a job: where on its way something may go wrong, and how the proxy knows that it is there."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, NamedTuple

from tests.chaos.exchange import Exchange
from tests.chaos.proxy import Moment


class Point(StrEnum):
    """Where a job is, in the order in which it comes there."""

    UPLOAD_BEGUN = "upload begun"
    UPLOAD_HALF = "upload half"
    ACKNOWLEDGED = "acknowledged"
    QUEUED = "queued"
    ASSIGNED = "assigned"
    FETCHING = "fetching audio"
    RUNNING_EMPTY = "running, nothing sent"
    RUNNING = "running, first sent"
    BETWEEN = "between segments"
    RESULT_SENT = "result sent"
    RESULT_ANSWERED = "result answered"
    CANCELLING = "cancelling"
    DELETING = "deleting"
    RETRIED = "retried"


class Sight(NamedTuple):
    """What the proxy sees when a job comes to a point."""

    moment: Moment
    wants: Callable[[Exchange], bool]


def _held(exchange: Exchange) -> Any:
    is_heartbeat = exchange.path == "/api/runners/heartbeat" and exchange.body
    return (is_heartbeat and exchange.body.get("job")) or {}


def _segments(exchange: Exchange) -> int:
    """Return how many segments there are after this heartbeat, 0 when it brings none."""
    held = _held(exchange)
    return held["first"] + len(held["segments"]) if held.get("segments") else 0


def _asks(exchange: Exchange, method: str, end: str) -> bool:
    return exchange.method == method and exchange.path.partition("?")[0].endswith(end)


def _is_taken(exchange: Exchange) -> bool:
    return exchange.status is not None and exchange.status < 300


def _is_result(exchange: Exchange) -> bool:
    return _asks(exchange, "POST", "/result")


def _is_deletion(exchange: Exchange) -> bool:
    return exchange.method == "DELETE" and exchange.path.startswith("/api/jobs/")


SIGHTS: Final = {
    Point.UPLOAD_BEGUN: Sight(Moment.BEGUN, lambda it: it.is_upload),
    Point.UPLOAD_HALF: Sight(Moment.HALF, lambda it: it.is_upload),
    Point.ACKNOWLEDGED: Sight(Moment.ANSWERED, lambda it: it.is_upload and _is_taken(it)),
    Point.QUEUED: Sight(Moment.TOLD, lambda it: it.is_upload and _is_taken(it)),
    Point.ASSIGNED: Sight(
        Moment.ANSWERED, lambda it: it.path == "/api/runners/heartbeat" and bool(it.reply and it.reply.get("job"))
    ),
    Point.FETCHING: Sight(Moment.PARTLY, lambda it: "/api/runners/jobs/" in it.path and "/audio" in it.path),
    Point.RUNNING_EMPTY: Sight(Moment.ASKED, lambda it: bool(_held(it)) and not _held(it).get("segments")),
    Point.RUNNING: Sight(Moment.TOLD, lambda it: _segments(it) > 0 and _is_taken(it)),
    Point.BETWEEN: Sight(Moment.ANSWERED, lambda it: _segments(it) > 2 and _is_taken(it)),
    Point.RESULT_SENT: Sight(Moment.ASKED, _is_result),
    Point.RESULT_ANSWERED: Sight(Moment.ANSWERED, lambda it: _is_result(it) and _is_taken(it)),
    Point.CANCELLING: Sight(Moment.ANSWERED, lambda it: _asks(it, "POST", "/cancel") and _is_taken(it)),
    Point.DELETING: Sight(Moment.ASKED, _is_deletion),
    Point.RETRIED: Sight(Moment.ANSWERED, lambda it: _asks(it, "POST", "/retry") and _is_taken(it)),
}  # fmt: skip

UPLOADING: Final = frozenset({Point.UPLOAD_BEGUN, Point.UPLOAD_HALF, Point.ACKNOWLEDGED})
"""Points of a submission."""

BY_CLIENT: Final = UPLOADING | {Point.CANCELLING, Point.DELETING}
"""Points that a client program brings about, so that it is there to be killed."""

AT_RUNNER: Final = frozenset(
    {
        Point.ASSIGNED,
        Point.FETCHING,
        Point.RUNNING_EMPTY,
        Point.RUNNING,
        Point.BETWEEN,
        Point.RESULT_SENT,
        Point.RESULT_ANSWERED,
        Point.CANCELLING,
        Point.DELETING,
    }
)
"""Points at which a runner holds the job."""
