"""What stands around the doors of every app: identity, limits, errors, self-description, hosts, headers, log."""

from typing import cast

from quart import Quart

from projectw_server.api import limits, openapi, problems
from projectw_server.api.access import Access, Application
from projectw_server.api.context import Services
from projectw_server.api.cors import Cors
from projectw_server.api.directory import Directory
from projectw_server.api.front import Front
from projectw_server.api.gate import Gate
from projectw_server.api.hosts import Hosts
from projectw_server.api.identity import JwtAuth
from projectw_server.api.problems import Translate


def surround(app: Quart, translate: Translate, services: Services) -> None:
    """Put all of it around ``app``; ``translate`` reads the errors of the database and the storage."""
    # Paths are exact: a redirect to one slash for two would be an answer in HTML.
    app.url_map.merge_slashes = False
    JwtAuth(app)
    limits.install(app)
    problems.install(app, translate)
    openapi.install(app)
    views = (app.view_functions[rule.endpoint] for rule in app.url_map.iter_rules())
    directory = Directory(view.door for view in views if hasattr(view, "door"))
    requests = services.metrics.requests
    gate = Gate(
        cast("Application", app.asgi_app),
        services.admission,
        requests,
        is_hashing_full=lambda: services.passwords.is_full,
    )
    front = Front(gate, Hosts(services.settings), Cors(services.settings.cors_origins))
    app.asgi_app = Access(front, directory, requests)  # type: ignore[assignment, method-assign]  # typed by its scopes
