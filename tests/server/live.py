"""The server on a real socket, in the test's own event loop, so that its insides can be looked at."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import uvicorn
from quart import Quart

from projectw_server.api.connections import BoundedProtocol
from projectw_server.api.context import EXTENSION, Services
from projectw_server.api.greeting import Reception
from projectw_server.api.occupancy import Occupancy
from projectw_server.app import create_app
from projectw_server.db import Database
from projectw_server.serving import Server, bind
from projectw_server.settings import ServerSettings
from projectw_server.tls import Certificate


class Live:
    """A server that listens on ``port``."""

    def __init__(
        self, app: Quart, port: int, occupancy: Occupancy, certificate: Certificate | None = None
    ) -> None:
        self.app = app
        self.port = port
        self.occupancy = occupancy
        self.certificate = certificate
        self.url = f"http://127.0.0.1:{port}"

    @property
    def services(self) -> Services:
        found: Services = self.app.extensions[EXTENSION]
        return found


@asynccontextmanager
async def serving(
    settings: ServerSettings,
    database: Database,
    *,
    most: int | None = None,
    most_each: int | None = None,
    certificate: Certificate | None = None,
) -> AsyncIterator[Live]:
    """Serve until the end of the block; ``most`` bounds the connections, ``most_each`` those of one address."""
    app = create_app(settings, database)
    started = asyncio.Event()
    (sock,) = bind("127.0.0.1", 0)
    occupancy = Occupancy(most, most_each)
    protocol: Any = partial(BoundedProtocol, occupancy=occupancy, rate=settings.min_bytes_per_second)
    config = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]  # as good as the class
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    services: Services = app.extensions[EXTENSION]
    reception = None if certificate is None else Reception(certificate.context, occupancy)
    server = Server(config, started.set, services.stop, reception=reception)
    task = asyncio.create_task(server.serve([sock]))
    try:
        await asyncio.wait_for(started.wait(), 20)
        yield Live(app, sock.getsockname()[1], occupancy, certificate)
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 20)
        sock.close()


async def until(holds: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)
