"""Serving: from settings to a process that answers, and back to nothing when it is told to stop."""

import asyncio
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import cast

import structlog
import uvicorn
from quart import Quart

from projectw_server import exposure, home
from projectw_server.agreement import agree
from projectw_server.api.access import Application, Message, Receive, Scope, Send
from projectw_server.api.connections import BoundedProtocol
from projectw_server.api.context import EXTENSION, Services
from projectw_server.api.greeting import Reception
from projectw_server.api.hosts import Hosts
from projectw_server.api.occupancy import Occupancy
from projectw_server.api.refusing import refuse
from projectw_server.app import create_app
from projectw_server.db import open_database
from projectw_server.settings import ServerSettings
from projectw_server.tls import Certificate, certificate_of
from projectw_server.watchdog import watching
from projectw_shared.errors import Unavailable
from projectw_shared.supervision import Supervisor

GRACE_SECONDS = 3
"""How long answers that have begun may take to end when the server stops."""

OTHER_FILES = 512
"""File descriptors for what is no accepted connection: the database, recordings, and connections being refused."""

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
            await refuse(
                send, Unavailable("The server is stopping; try again", retry_after=5), scheme=scope["scheme"]
            )


class Server(uvicorn.Server):
    """Uvicorn, told to say when it answers and to end what would otherwise be held open.

    ``on_leaving`` is called when the server is told to stop, and ``on_stop`` ``delay`` seconds later, when it takes no
    more connections: until then it serves as before, so that a balancer can find out. With a
    ``reception`` it speaks TLS.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_started: Callable[[], None],
        on_stop: Callable[[], None],
        *,
        on_leaving: Callable[[], None] = lambda: None,
        delay: float = 0.0,
        reception: Reception | None = None,
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._on_stop = on_stop
        self._on_leaving = on_leaving
        self._delay = delay
        self._reception = reception
        self._is_leaving = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets if self._reception is None else [])
        if self.started:
            if self._reception is not None:
                self._reception.open(sockets or [], self._protocol)
            self._on_started()

    def _protocol(self, on_made: Callable[[], object]) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # as Uvicorn itself calls it
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            on_made=on_made,
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, let go of held requests, and end."""
        for server in self.servers:
            server.close()
        if self._reception is not None:
            self._reception.close()
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

    Raises HomeError, CannotListen, or ConfigError for a signing key that is too weak, a certificate that cannot be
    used, and an address that is not protected.
    """
    exposure.check(settings)
    certificate = certificate_of(settings)
    home.prepare(settings.home)
    with ExitStack() as held:
        if settings.database.startswith("sqlite"):
            held.enter_context(home.sole_server(settings.home))
        sockets = bind(settings.host, settings.port)
        for each in sockets:
            held.enter_context(each)
        address = url(settings.host, sockets[0], is_secure=certificate is not None)
        async with open_database(settings.database) as database:
            if database.is_shared:
                await agree(database, settings)
            app = create_app(settings, database)
            supervisor = Supervisor.from_environment()
            async with watching(supervisor, database), renewing(certificate):

                def started() -> None:
                    announce(f"listening on {address}")
                    supervisor.tell("READY=1", f"STATUS=Listening on {address}")

                await _run(app, sockets, certificate, started, lambda: supervisor.tell("STOPPING=1"))


@asynccontextmanager
async def renewing(certificate: Certificate | None) -> AsyncIterator[None]:
    """Take over a renewed ``certificate`` during the block."""
    watch = asyncio.create_task(certificate.watch(), name="certificate") if certificate else None
    try:
        yield
    finally:
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])


async def _run(
    app: Quart,
    sockets: list[socket.socket],
    certificate: Certificate | None,
    on_started: Callable[[], None],
    on_leaving: Callable[[], object],
) -> None:
    services = cast("Services", app.extensions[EXTENSION])
    settings = services.settings
    if Hosts(settings).are_guessed:
        _log.warning(
            "neither public_url nor allowed_hosts is set: only this machine's name and IP addresses are answered"
        )
    on_excess = services.metrics.requests.note_refused_connection
    occupancy = Occupancy(
        connections_possible(settings.max_connections),
        settings.max_connections_per_address,
        exposure.proxies(settings),
    )
    protocol = partial(
        BoundedProtocol, occupancy=occupancy, on_excess=on_excess, rate=settings.min_bytes_per_second
    )
    config = uvicorn.Config(
        Interruptible(cast("Application", app)),
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )

    def leave() -> None:
        services.lifetime.leave()
        on_leaving()

    server = Server(
        config,
        on_started,
        services.stop,
        on_leaving=leave,
        delay=settings.shutdown_delay_seconds,
        reception=Reception(certificate.context, occupancy, on_excess) if certificate else None,
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


def url(host: str, sock: socket.socket, *, is_secure: bool = False) -> str:
    """Return the address to open: the host as it was set, the port as it was given."""
    name = f"[{host}]" if ":" in host else host or "0.0.0.0"  # noqa: S104  what an empty host means
    return f"{'https' if is_secure else 'http'}://{name}:{sock.getsockname()[1]}"
