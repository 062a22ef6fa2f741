"""What the parts of a server tell one another, and the servers that share a database tell each other.

Nothing here must arrive: each is a hint to look at the database sooner than one would anyhow.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct


class Queued(Struct, frozen=True, tag=True, array_like=True):
    """A job waits that needs this, and the server that says so has nobody for it."""

    need: str


class JobNews(Struct, frozen=True, tag=True, array_like=True):
    """The runner of a job must hear something: that it was cancelled, or that its lease is gone."""

    job_id: str


class RunnerNews(Struct, frozen=True, tag=True, array_like=True):
    """A runner's session is gone, or it was cordoned, drained or deleted."""

    runner_id: str


class Beating(Struct, frozen=True, tag=True, array_like=True):
    """A session's heartbeat waits at this server, so none does elsewhere."""

    runner_id: str
    session: str


class Changed(Struct, frozen=True, tag=True, array_like=True):
    """A user's change number has reached ``number``."""

    owner_id: str
    number: int


class Progressed(Struct, frozen=True, tag=True, array_like=True):
    """How far a running job is, 0 to 1."""

    owner_id: str
    job_id: str
    lease: int
    progress: float


class Missed(Struct, frozen=True, tag=True, array_like=True):
    """Something may have been said that did not arrive: look at everything."""


Signal = Queued | JobNews | RunnerNews | Beating | Changed | Progressed | Missed


class Relay(Protocol):
    """Tells the other servers."""

    def post(self, signal: Signal) -> None:
        """Send ``signal`` to every other server, soon; nobody waits for it."""

    async def send(self) -> None:
        """Send what waits, once, for a program that does not stay."""


class NoRelay:
    """There are no other servers."""

    def post(self, signal: Signal) -> None:
        """Do nothing."""

    async def send(self) -> None:
        """Do nothing."""


class Signals:
    """Calls those who want to know, here and at the other servers."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._listeners: dict[type[Struct], list[Callable[..., object]]] = {}

    def on(self, kind: type[Struct], call: Callable[..., object]) -> None:
        """Let ``call`` be called with every signal of a kind, whichever server it comes from."""
        self._listeners.setdefault(kind, []).append(call)

    def tell(self, signal: Signal) -> None:
        """Tell everybody, here at once and elsewhere soon."""
        self.tell_here(signal)
        self.tell_others(signal)

    def tell_here(self, signal: Signal) -> None:
        """Tell those of this server; also the way in for what others have sent."""
        for call in self._listeners.get(type(signal), ()):
            call(signal)

    def tell_others(self, signal: Signal) -> None:
        """Tell the other servers."""
        self._relay.post(signal)
