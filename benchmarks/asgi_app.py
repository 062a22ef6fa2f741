"""The app that ``benchmarks.asgi`` puts behind each server: the product's bounded requests, and nothing to wait for."""

import asyncio
from collections.abc import AsyncGenerator

from quart import Quart, Response, request

from projectw_server.api.asgi import BoundedConnection, BoundedRequest


class Crowd:
    """Callers that wait for one word."""

    def __init__(self) -> None:
        self.size = 0
        self._told: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Wait until ``tell`` is called."""
        if self._told is None:
            self._told = asyncio.get_running_loop().create_future()
        self.size += 1
        try:
            await asyncio.shield(self._told)
        finally:
            self.size -= 1

    def tell(self) -> None:
        """Let everyone go who waits."""
        if self._told is not None:
            self._told.set_result(None)
            self._told = None


def create_app() -> Quart:
    """Return the app."""
    app = Quart("benchmarks", static_folder=None)
    app.request_class = BoundedRequest
    app.asgi_http_class = BoundedConnection
    app.config["MAX_CONTENT_LENGTH"] = None
    held, watching = Crowd(), Crowd()

    @app.get("/plain")
    async def plain() -> dict[str, str]:
        return {"state": "queued"}

    @app.post("/upload")
    async def upload() -> str:
        return str(sum([len(chunk) async for chunk in request.body]))

    @app.post("/heartbeat")
    async def heartbeat() -> dict[str, bool]:
        async for _chunk in request.body:
            pass
        await held.wait()
        return {"abort": False}

    @app.get("/events")
    async def events() -> Response:
        async def stream() -> AsyncGenerator[bytes, None]:
            yield b"event: hello\ndata: {}\n\n"
            while True:
                await watching.wait()
                yield b"event: job\ndata: {}\n\n"

        response = Response(stream(), content_type="text/event-stream")
        response.timeout = None
        return response

    @app.get("/waiting")
    async def waiting() -> dict[str, int]:
        return {"held": held.size, "watching": watching.size}

    @app.post("/tell")
    async def tell() -> str:
        held.tell()
        watching.tell()
        return "told"

    return app
