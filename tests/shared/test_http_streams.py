"""Answers and uploads that last, and connections that break in the middle of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from projectw_shared.errors import Unreachable, UnsupportedMedia, to_problem
from projectw_shared.http import Api, FixedToken

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


def api(url: str) -> Api:
    return Api(url, credentials=FixedToken("pwt_x"), user_agent="projectw-test/1")


async def test_an_open_answer_is_read_as_it_comes(serve: Serve) -> None:
    go_on = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await go_on.wait()
        await response.write(b"second")
        return response

    async with api(await serve(drip)) as client, client.open("GET", "/", timeout=None) as response:
        assert await response.content.readexactly(5) == b"first"
        go_on.set()
        assert await response.content.read() == b"second"


async def test_an_answer_that_breaks_off_is_unreachable(serve: Serve) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"some")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with api(await serve(break_off)) as client:
        with pytest.raises(Unreachable):
            async with client.open("GET", "/") as response:
                await response.read()


async def test_the_caller_s_own_errors_pass_through_an_open_answer(serve: Serve) -> None:
    async def ok(request: web.Request) -> web.StreamResponse:
        return web.Response()

    async with api(await serve(ok)) as client:
        with pytest.raises(OSError, match="No space left") as caught:
            async with client.open("GET", "/"):
                raise OSError(28, "No space left on device")
    assert not isinstance(caught.value, Unreachable)


async def test_an_upload_that_is_refused_early_raises_the_refusal(
    serve: Serve,
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        await request.content.readany()
        return web.json_response(to_problem(UnsupportedMedia("no audio")), status=415)

    async def data() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield bytes(65_536)

    async with api(await serve(refuse)) as client:
        with pytest.raises(UnsupportedMedia, match="no audio"):
            async with client.open("POST", "/", data=data()):
                pass
