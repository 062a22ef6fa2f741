"""What a route declares: who may call it, what it takes and gives.

One declaration makes the check, the decoding, the answer and the OpenAPI document, so none of them can
differ from another. A handler is called with the caller first and returns a message, or a ready response.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import AbstractContextManager, ExitStack, aclosing, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, cast

import msgspec
import structlog
from quart import Blueprint, Response, request
from quart_rate_limiter import RateLimit, rate_limit

from projectw_server.accounts.principals import Grant, Person
from projectw_server.api.access import JOB
from projectw_server.api.admission import Urgency
from projectw_server.api.context import services
from projectw_server.api.identity import Who, admit
from projectw_server.api.patience import steady
from projectw_server.api.visits import held
from projectw_shared.errors import BadRequest, Invalid, TooLarge
from projectw_shared.ids import is_id
from projectw_shared.routes import rule
from projectw_shared.strict import strict

T = TypeVar("T")
Handler = Callable[..., Awaitable[Any]]

MAX_JSON_BYTES = 64 * 1024
"""The largest JSON body, unless a door says otherwise."""


@dataclass(frozen=True)
class Door:
    """The declaration of one route, kept with its view (as ``view.door``) for the tests that walk them all.

    ``takes`` is decoded from the JSON body and passed as ``body``, ``query`` from the query string and passed
    as ``query``, ids in the path by their names. Where ``gives`` is None the answer is empty, with 204 or the declared
    status, or whatever response the handler makes. ``accepts`` and ``produces`` name the media types of bodies and
    answers that are no JSON, ``headers`` those request headers that mean something here; they are told in the
    document, the handler reads them. ``grant`` is what the caller's credential must grant: by default to read for GET,
    to write for the rest. ``unconfirmed`` lets in those who have not confirmed their address. ``max_bytes`` bounds
    the JSON body. A ``tight`` door is one at which passwords or tokens could be guessed, one that ``hashes`` computes
    with passwords. ``urgency`` says how soon its requests are turned away when the server is busy.
    """

    method: str
    path: str
    who: Who
    takes: type | None = None
    query: type | None = None
    gives: type | None = None
    status: int = 200
    accepts: tuple[str, ...] = ()
    produces: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    grant: Grant | None = None
    unconfirmed: bool = False
    max_bytes: int = MAX_JSON_BYTES
    tight: bool = False
    hashes: bool = False
    urgency: Urgency = Urgency.ORDINARY

    @property
    def needed(self) -> Grant:
        """What the caller's credential must grant."""
        return self.grant or (Grant.READ if self.method == "GET" else Grant.WRITE)


class Doors:
    """The routes of one module; they become a blueprint for each app that is made."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._declared: list[tuple[Door, Handler]] = []

    def door(self, method: str, path: str, who: Who, **declaration: Any) -> Callable[[Handler], Handler]:
        """Declare the decorated coroutine as the handler of a route; see ``Door`` for what may be declared."""

        def declare(handler: Handler) -> Handler:
            self._declared.append((Door(method, path, who, **declaration), handler))
            return handler

        return declare

    def blueprint(self, *, tight_per_minute: int, closed: Collection[str] = ()) -> Blueprint:
        """Return the routes, the tight ones limited to ``tight_per_minute`` calls from one address.

        Paths that are ``closed`` are left out, as if there were none.
        """
        blueprint = Blueprint(self.name, __name__)
        for door, handler in self._declared:
            if door.path in closed:
                continue
            view = _view(door, handler)
            if door.tight:
                view = rate_limit(limits=[RateLimit(tight_per_minute, timedelta(minutes=1))])(view)
            blueprint.add_url_rule(
                rule(door.path), endpoint=handler.__name__, view_func=view, methods=[door.method]
            )
        return blueprint


def _view(door: Door, handler: Handler) -> Any:
    async def view(**arguments: Any) -> Response:
        with ExitStack() as to_the_end:
            return await _pass(door, handler, arguments, to_the_end)

    view.__name__ = handler.__name__
    view.__doc__ = handler.__doc__
    view.door = door  # type: ignore[attr-defined]  # functions carry attributes
    return view


async def _pass(door: Door, handler: Handler, arguments: dict[str, Any], to_the_end: ExitStack) -> Response:
    if "id" in arguments and "/jobs/" in door.path:
        about_job(arguments["id"])
    caller = await admit(door.who, door.needed, unconfirmed=door.unconfirmed)
    if door.query is not None:
        arguments["query"] = _read_query(door.query)
    if door.takes is not None:

        def is_large() -> None:
            if caller is not None:
                to_the_end.enter_context(services().large_bodies.one_of(caller.id))

        arguments["body"] = await _read_body(door.takes, door.max_bytes, is_large)
        if isinstance(caller, Person):
            # A body may come slowly on purpose, and its sender lose the right meanwhile.
            caller = await admit(door.who, door.needed, unconfirmed=door.unconfirmed)
    # Whoever waits for the few threads that hash waits beside those that are worked on: a flood of sign-ins would
    # else take everybody's turn. How many may wait there is bounded, too.
    with while_held() if door.hashes else nullcontext():
        answer = await handler(*(() if caller is None else (caller,)), **arguments)
    return _respond(answer, door.status)


def about_job(job_id: str) -> None:
    """Let the log say of the present request which job it is about."""
    if not is_id(job_id):
        return  # anybody's words may stand in a path
    _scope()[JOB] = job_id
    structlog.contextvars.bind_contextvars(job_id=job_id)


def while_held() -> AbstractContextManager[None]:
    """Let the present request wait until the end of the block, for news or for its client."""
    return held(_scope())


def holder() -> Callable[[], AbstractContextManager[None]]:
    """Return ``while_held`` of the present request, for an answer that is made when the handler is over."""
    return partial(held, _scope())


def _scope() -> dict[str, Any]:
    # Typed as having the specification's keys alone, which lets applications add their own.
    return cast("dict[str, Any]", request.scope)


async def arriving() -> AsyncGenerator[bytes, None]:
    """Yield the pieces of the present request's body; what its client takes to send them is no work.

    Raises TooSlow: Quart's own time limit does not cover iteration.
    """
    settings = services().settings
    seconds = settings.upload_idle_seconds
    async with aclosing(steady(request.body, seconds, settings.min_bytes_per_second)) as coming:
        while True:
            with while_held():
                piece = await anext(coming, None)
            if piece is None:
                return
            yield piece


def _read_query(kind: type[T]) -> T:
    try:
        return msgspec.convert(request.args.to_dict(), strict(kind), strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"The query string is not valid: {error}") from error


async def _read_body(kind: type[T], most: int, on_large: Callable[[], None]) -> T:
    raw = await _read_raw(most, on_large)
    try:
        return msgspec.json.decode(raw, type=strict(kind))
    except msgspec.ValidationError as error:
        raise Invalid(f"The body is not valid: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is no JSON: {error}") from error


async def _read_raw(most: int, on_large: Callable[[], None]) -> bytearray:
    raw, is_large = bytearray(), False
    declared = request.content_length
    if declared is not None and declared > most:
        raise TooLarge(f"A JSON body has at most {most} bytes here")
    async for chunk in arriving():
        raw += chunk
        if len(raw) > most:
            raise TooLarge(f"A JSON body has at most {most} bytes here")
        if len(raw) > MAX_JSON_BYTES and not is_large:
            is_large = True
            on_large()
    return raw


def _respond(answer: Any, status: int) -> Response:
    if isinstance(answer, Response):
        return answer
    if answer is None:
        return Response(status=204 if status == 200 else status)
    return Response(msgspec.json.encode(answer), status=status, content_type="application/json")
