"""What operators and their machines ask of the server: what it is, whether it lives, how it fares."""

from typing import Literal

import msgspec
import structlog
from msgspec import Struct
from quart import Response, current_app, request

from projectw_server.accounts.principals import Person
from projectw_server.api.admission import Urgency
from projectw_server.api.context import services
from projectw_server.api.doors import Doors
from projectw_server.api.identity import Who
from projectw_server.api.lifetime import Stage
from projectw_server.api.openapi import provider_of
from projectw_server.settings import ServerSettings
from projectw_shared import __version__, routes
from projectw_shared.errors import Forbidden, Unavailable
from projectw_shared.formats import FORMATS
from projectw_shared.jobs import MODELS
from projectw_shared.messages import About

doors = Doors("operations")

_log = structlog.get_logger(__name__)


class Status(Struct, frozen=True):
    """All is well."""

    status: Literal["ok"] = "ok"


def closed(settings: ServerSettings) -> set[str]:
    """Return the paths that the settings close."""
    paths: set[str] = set()
    if settings.metrics == "closed":
        paths.add(routes.METRICS)
    if not settings.docs:
        paths |= {routes.OPENAPI, routes.DOCS}
    return paths


@doors.door("GET", routes.ABOUT, Who.ANYONE, gives=About)
async def about() -> About:
    """Tell what this server is and what it accepts."""
    settings = services().settings
    return About(
        name=settings.name,
        version=__version__,
        source_code=settings.source_code,
        signup=settings.signup,
        allowed_email_domains=settings.allowed_email_domains,
        models=list(MODELS),
        formats=list(FORMATS),
        max_upload_bytes=settings.max_upload_bytes,
        retention_days=None,
        mail=settings.smtp_host is not None,
    )


@doors.door("GET", routes.HEALTH, Who.ANYONE, gives=Status, urgency=Urgency.VITAL)
async def healthz() -> Status:
    """Answer while the process lives."""
    return Status()


@doors.door("GET", routes.READY, Who.ANYONE, gives=Status, urgency=Urgency.VITAL)
async def readyz() -> Status:
    """Answer when the database and the storage do; otherwise 503, and which one does not.

    503 also while the server starts and once it was told to stop.
    """
    stage = services().lifetime.stage
    if stage is not Stage.SERVING:
        raise Unavailable(f"The server is {stage.value}", components=["server"])
    wrong = {name: what for name, what in (await services().health.check()).items() if what is not None}
    if wrong:
        # The reasons name paths and addresses, which are the operator's to see and nobody else's.
        _log.error("not ready", **wrong)
        raise Unavailable(
            f"Out of order: {', '.join(wrong)}; the server's log says why", components=sorted(wrong)
        )
    return Status()


@doors.door("GET", routes.METRICS, Who.OPERATOR, produces=("text/plain",), urgency=Urgency.IDLE)
async def metrics(*admin: Person) -> Response:
    """Tell how the server fares, in Prometheus' text format, or in OpenMetrics where that is asked for.

    For admins, unless the settings say otherwise, and for a program that sends the metrics token of the settings.
    """
    if admin and services().settings.metrics == "token":
        raise Forbidden("On this server the metrics are for a program with the metrics token alone")
    census = await services().census.take()
    body, content_type = services().metrics.render(census, request.headers.get("Accept", ""))
    return Response(body, content_type=content_type)


@doors.door("GET", routes.OPENAPI, Who.ANYONE, produces=("application/json",))
async def openapi_document() -> Response:
    """Give the OpenAPI document of this API."""
    return Response(msgspec.json.encode(provider_of(current_app).made), content_type="application/json")


@doors.door("GET", routes.DOCS, Who.ANYONE, produces=("text/html",))
async def docs() -> Response:
    """Show this API to people."""
    page = provider_of(current_app).page
    return Response(
        page.html,
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": page.policy},
    )
