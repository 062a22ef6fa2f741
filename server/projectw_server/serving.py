"""Serving: from settings to a process that answers, and back to nothing when it is told to stop."""

import asyncio
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import cast

import structlog
import uvicorn
from quart import Quart

from projectw_server import home
from projectw_server.agreement import agree
from projectw_server.api.access import Application, Message, Receive, Scope, Send
from projectw_server.api.connections import BoundedProtocol
from projectw_server.api.context import EXTENSION, Services
from projectw_server.api.refusing import refuse
from projectw_server.app import create_app
from projectw_server.db import open_database
from projectw_server.settings import ServerSettings
from projectw_shared.errors import Unavailable

KEEP_ALIVE_SECONDS = 75
"""How long a connection may rest between two requests. Longer than clients keep theirs (aiohttp: 15 s), or a request
would now and then meet a connection that is just being closed."""

GRACE_SECONDS = 3
"""How long answers that have begun may take to end when the server stops."""

OTHER_FILES = 512
"""File descriptors for what is no accepted connection: the database, recordings, and connections being refused."""

TRUSTED_PROXIES = ["127.0.0.1", "::1"]
"""Where X-Forwarded-For and -Proto are believed: a proxy on this machine."""


_log = structlog.get_logger(__name__)


class CannotListen(Exception):
    """The address is taken, or none of this machine's."""


class Interruptible:
    """Answers 503 for what Uvicorn cancels when its grace is over; it cancels at no other time."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def answer(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._application(scope, receive, answer)
        except asyncio.CancelledError:
            if has_begun or scope["type"] != "http":
                raise
            await refuse(send, Unavailable("The server is stopping; try again", retry_after=5))


class Server(uvicorn.Server):
    """Uvicorn, told to say when it answers and to end what would otherwise be held open.

    ``on_leaving`` is called when the server is told to stop, and ``on_stop`` ``delay`` seconds later, when it takes no
    more connections: until then it serves as before, so that a balancer can find out.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_started: Callable[[], None],
        on_stop: Callable[[], None],
        *,
        on_leaving: Callable[[], None] = lambda: None,
        delay: float = 0.0,
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._on_stop = on_stop
        self._on_leaving = on_leaving
        self._delay = delay
        self._is_leaving = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, let go of held requests, and end."""
        for server in self.servers:
            server.close()
        self._on_stop()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT, at once when asked a second time.

        Uvicorn's own way raises the signal again at the end, and the exit code would tell of a crash.
        """
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for each in signals:
            loop.add_signal_handler(each, self._stop)
        try:
            yield
        finally:
            for each in signals:
                loop.remove_signal_handler(each)

    def _stop(self) -> None:
        if self._is_leaving:
            self.force_exit = self.should_exit = True
            return
        self._is_leaving = True
        self._on_leaving()
        if self._delay > 0:
            _log.info("stopping: not ready any more", seconds_left=self._delay)
            asyncio.get_running_loop().call_later(self._delay, self._exit)
        else:
            self._exit()

    def _exit(self) -> None:
        self.should_exit = True


async def serve(settings: ServerSettings, announce: Callable[[str], None]) -> None:
    """Serve until the process is told to stop; ``announce`` gets the line that says where.

    Raises HomeError, CannotListen, or ConfigError for a signing key that is too weak.
    """
    home.prepare(settings.home)
    with ExitStack() as held:
        if settings.database.startswith("sqlite"):
            held.enter_context(home.sole_server(settings.home))
        sockets = bind(settings.host, settings.port)
        for each in sockets:
            held.enter_context(each)
        async with open_database(settings.database) as database:
            if database.is_shared:
                await agree(database, settings)
            app = create_app(settings, database)
            await _run(app, sockets, lambda: announce(f"listening on {url(settings.host, sockets[0])}"))


async def _run(app: Quart, sockets: list[socket.socket], on_started: Callable[[], None]) -> None:
    services = cast("Services", app.extensions[EXTENSION])
    protocol = partial(
        BoundedProtocol,
        most=connections_possible(services.settings.max_connections),
        on_excess=services.metrics.requests.note_refused_connection,
    )
    config = uvicorn.Config(
        Interruptible(cast("Application", app)),
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        forwarded_allow_ips=TRUSTED_PROXIES,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = Server(
        config,
        on_started,
        services.stop,
        on_leaving=services.lifetime.leave,
        delay=services.settings.shutdown_delay_seconds,
    )
    await server.serve(sockets)


def connections_possible(wanted: int) -> int:
    """Return how many connections may be open at once: ``wanted``, or what the system allows if that is less.

    Each is a file descriptor, and running out of them would keep the server from its own files. The limit of this
    process is raised as far as it may be.
    """
    unlimited = resource.RLIM_INFINITY
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if soft == unlimited or soft >= needed:
        return wanted
    allowed = needed if hard == unlimited else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == needed:
        return wanted
    possible = max(1, allowed - OTHER_FILES)
    _log.warning("the system allows fewer connections than max_connections", possible=possible, wanted=wanted)
    return possible


def bind(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets on every address that ``host`` has here, all on one port (0: any free one).

    Raises CannotListen. Bound before anything else starts, so that the port is known and a mistake costs nothing.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, *_, address in dict.fromkeys(found):
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_bound(family, (address[0], chosen, *address[2:])))
    except OSError as error:
        for each in sockets:
            each.close()
        raise CannotListen(f"Cannot listen on {host or '*'}:{port}: {error.strerror or error}") from error
    return sockets


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Else it would take IPv4's port as well, which has a socket of its own.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.set_inheritable(False)
    except OSError:
        sock.close()
        raise
    return sock


def url(host: str, sock: socket.socket) -> str:
    """Return the address to open: the host as it was set, the port as it was given."""
    name = f"[{host}]" if ":" in host else host or "0.0.0.0"  # noqa: S104  what an empty host means
    return f"http://{name}:{sock.getsockname()[1]}"
