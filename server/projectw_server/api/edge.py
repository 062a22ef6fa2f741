"""What stands around the doors of every app: identity, limits, errors, self-description, headers, log."""

from quart import Quart

from projectw_server.api import limits, openapi, problems
from projectw_server.api.access import Access
from projectw_server.api.identity import JwtAuth
from projectw_server.api.problems import Translate


def surround(app: Quart, translate: Translate) -> None:
    """Put all of it around ``app``; ``translate`` reads the errors of the database and the storage."""
    # Paths are exact: a redirect to one slash for two would be an answer in HTML.
    app.url_map.merge_slashes = False
    JwtAuth(app)
    limits.install(app)
    problems.install(app, translate)
    openapi.install(app)
    app.asgi_app = Access(app.asgi_app)  # type: ignore[assignment, method-assign, arg-type]  # typed by its scopes
