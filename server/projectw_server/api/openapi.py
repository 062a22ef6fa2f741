"""The OpenAPI 3.1 document, made from the declarations of the doors."""

import inspect
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import msgspec
from quart import Quart
from quart_schema import HttpSecurityScheme, Info, OpenAPIProvider, QuartSchema
from werkzeug.routing.rules import Rule

from projectw_server.accounts.principals import Grant
from projectw_server.api.docs_page import Page, render
from projectw_server.api.doors import Door
from projectw_server.api.identity import Who
from projectw_server.api.problems import CONTENT_TYPE as PROBLEM
from projectw_shared import __version__
from projectw_shared.errors import Problem
from projectw_shared.strict import strict

EXTENSION = "QUART_SCHEMA"
_REFERENCE = "#/components/schemas/{name}"

_SESSION: dict[str, list[str]] = {"session": []}
_TOKEN: dict[str, list[str]] = {"token": []}


class Provider(OpenAPIProvider):
    """Describes each route by its door; Quart-Schema's own way loses all but one of nested message types."""

    @cached_property
    def made(self) -> dict[str, Any]:
        """The whole document: the routes do not change while the app lives."""
        return self.schema()

    @cached_property
    def page(self) -> Page:
        """The document as a page for people."""
        return render(self.made)

    def generate_rules(self) -> Iterable[Rule]:
        """Return the rules that have a door, by path."""
        rules = [rule for rule in self._app.url_map.iter_rules() if self._door(rule) is not None]
        return sorted(rules, key=lambda rule: (rule.rule, sorted(rule.methods or ())))

    def build_paths(self, rule: Rule) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the operation of a rule, and the message types that it speaks of."""
        door = self._door(rule)
        assert door is not None, "only rules with a door are described"
        types = [
            kind for kind in (strict_or_none(door.takes), strict_or_none(door.query), door.gives) if kind
        ]
        references, components = msgspec.json.schema_components([*types, Problem], ref_template=_REFERENCE)
        known = dict(zip([*types, Problem], references, strict=True))
        view = self._app.view_functions[rule.endpoint]
        blueprint, _, name = rule.endpoint.rpartition(".")
        summary, _, description = (inspect.getdoc(view) or name).partition("\n")
        operation = {
            "operationId": name,
            "tags": [blueprint],
            "summary": summary.strip(),
            "description": description.strip(),
            "security": _security(door),
            "parameters": [*_plain_parameters(rule, door), *_query_parameters(door, components)],
            "responses": _responses(door, known),
        }
        if body := _request_body(door, known):
            operation["requestBody"] = body
        return {door.path: {door.method.lower(): operation}}, components

    def _door(self, rule: Rule) -> Door | None:
        return getattr(self._app.view_functions[rule.endpoint], "door", None)


def strict_or_none(kind: type | None) -> type | None:
    """Return the strict twin of ``kind``, which is what a request is held to."""
    return None if kind is None else strict(kind)


def install(app: Quart) -> None:
    """Let ``app`` describe itself; its own doors serve the document and the page, no address is added."""
    QuartSchema(
        app,
        openapi_path=None,
        info=Info(
            title="Project W",
            version=__version__,
            summary="Self-hosted speech to text",
            description=(
                "Recordings go in, transcripts come out. Errors are problem details (RFC 9457) whose `code` "
                "is stable. Times are RFC 3339 in UTC, positions in seconds, sizes in bytes."
            ),
        ),
        security_schemes={
            "session": HttpSecurityScheme(scheme="bearer", bearer_format="JWT"),
            "token": HttpSecurityScheme(scheme="bearer", bearer_format="pwt_"),
            "runner": HttpSecurityScheme(scheme="bearer", bearer_format="pwr_"),
            "metrics": HttpSecurityScheme(scheme="bearer"),
        },
        conversion_preference="msgspec",
        openapi_provider_class=Provider,
    )


def provider_of(app: Quart) -> Provider:
    """Return what describes ``app``; it does so once, at the first call."""
    provider: Provider = app.extensions[EXTENSION].openapi_provider
    return provider


def _plain_parameters(rule: Rule, door: Door) -> Iterable[dict[str, Any]]:
    for name in sorted(rule.arguments):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for name in door.headers:
        yield {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}


def _query_parameters(door: Door, components: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if door.query is None:
        return
    # A query string is no object on the wire: its fields are parameters, and the type itself is not shown.
    fields = components.pop(strict(door.query).__name__)
    for name, schema in fields["properties"].items():
        yield {"name": name, "in": "query", "required": name in fields.get("required", ()), "schema": schema}


def _request_body(door: Door, known: dict[type, Any]) -> dict[str, Any] | None:
    content: dict[str, Any] = {media_type: {} for media_type in door.accepts}
    if door.takes is not None:
        content["application/json"] = {"schema": known[strict(door.takes)]}
    return {"required": True, "content": content} if content else None


def _security(door: Door) -> list[dict[str, list[str]]]:
    """Return the kinds of credential with which the door can be opened, one of which is enough."""
    if door.who is Who.ANYONE:
        return []
    if door.who is Who.RUNNER:
        return [{"runner": []}]
    kinds = [_SESSION] if door.needed is Grant.SIGN_IN else [_SESSION, _TOKEN]
    return [*kinds, {"metrics": []}] if door.who is Who.OPERATOR else kinds


def _responses(door: Door, known: dict[type, Any]) -> dict[str, Any]:
    problem = {PROBLEM: {"schema": known[Problem]}}
    is_empty = door.gives is None and not door.produces
    status = 204 if is_empty and door.status == 200 else door.status
    answers: dict[str, Any] = {str(status): _success(door, known)}
    if "Range" in door.headers:
        answers["206"] = {**answers[str(status)], "description": "The range that was asked for"}
    if "If-None-Match" in door.headers:
        answers["304"] = {"description": "It is still what the caller has"}
    if door.who is not Who.ANYONE:
        answers["401"] = {"description": "There is no valid token", "content": problem}
        answers["403"] = {"description": "The token is valid, but not for this", "content": problem}
    if door.tight:
        answers["429"] = {"description": "Too many tries from this address", "content": problem}
    answers["default"] = {"description": "What went wrong; `code` says it in a word", "content": problem}
    return answers


def _success(door: Door, known: dict[type, Any]) -> dict[str, Any]:
    if door.gives is not None:
        words = (inspect.getdoc(door.gives) or "Done").partition("\n")[0]
        return {"description": words, "content": {"application/json": {"schema": known[door.gives]}}}
    if door.produces:
        return {"description": "Done", "content": {media_type: {} for media_type in door.produces}}
    return {"description": "Done"}
