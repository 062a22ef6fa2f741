"""Who does what is being done: kept beside the request, so that the audit log knows without being told each time."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal

from projectw_server.accounts.principals import Person, RunnerIdentity

Kind = Literal["nobody", "user", "token", "runner", "operator", "server"]

MAX_ADDRESS = 64
MAX_CLIENT = 200


@dataclass(frozen=True)
class Actor:
    """Who acts: a user by sign-in or by API token, a runner, somebody unknown, the operator's command line, the server.

    ``id`` is that of the user or runner, ``address`` that of the connection, ``client`` what it calls itself.
    """

    kind: Kind
    id: str | None = None
    address: str | None = None
    client: str | None = None

    def known_as(self, caller: Person | RunnerIdentity) -> "Actor":
        """Return the same one, known by name."""
        if isinstance(caller, RunnerIdentity):
            return replace(self, kind="runner", id=caller.id)
        return replace(self, kind="token" if caller.token_id else "user", id=caller.id)


SERVER = Actor("server")
OPERATOR = Actor("operator")

_actor: ContextVar[Actor] = ContextVar("actor", default=SERVER)


def actor() -> Actor:
    """Return who acts at present."""
    return _actor.get()


def become(one: Actor) -> None:
    """Let ``one`` be who acts, to the end of the present task."""
    _actor.set(one)


@contextmanager
def acting(one: Actor) -> Iterator[None]:
    """Let ``one`` be who acts in the block."""
    before = _actor.set(one)
    try:
        yield
    finally:
        _actor.reset(before)


def visitor(address: str | None, client: str | None) -> Actor:
    """Return somebody of whom only the connection is known."""
    return Actor(
        "nobody", None, address[:MAX_ADDRESS] if address else None, client[:MAX_CLIENT] if client else None
    )
