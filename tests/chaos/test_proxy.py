"""The proxy passes on what it is given, sees requests in it, and fails in the ways that it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.chaos.history import History
from tests.chaos.proxy import FaultProxy, Line, Moment, Trap, embellished
from tests.chaos.weather import Trouble

TOKENS = {"pwr_token": "gpu"}


class Backend:
    """A server that notes what reaches it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.runner: web.AppRunner
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        if request.path == "/long":
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(8):
                await response.write(bytes(100_000))
            await response.write_eof()
            return response
        return web.json_response({"port": self.port, "count": len(self.bodies)})

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self.answer)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.port = self.runner.addresses[0][1]


class World:
    def __init__(self, proxy: FaultProxy, backends: list[Backend], http: aiohttp.ClientSession) -> None:
        self.proxy, self.backends, self.http = proxy, backends, http

    async def post(self, path: str = "/api/runners/heartbeat", body: Any = None, **options: Any) -> Any:
        headers = {"Authorization": "Bearer pwr_token"} | options.pop("headers", {})
        url = self.proxy.url + path
        async with self.http.post(url, json=body, headers=headers, **options) as answer:
            return await answer.json()

    def trap(self, moment: Moment, action: Any = None, path: str = "") -> Trap:
        trap = Trap(moment, lambda it: path in it.path, action or cut)
        self.proxy.traps.append(trap)
        return trap


async def cut(line: Line) -> None:
    line.cut()


@asynccontextmanager
async def world_of(count: int) -> AsyncIterator[World]:
    backends = [Backend() for _ in range(count)]
    for backend in backends:
        await backend.start()
    proxy = FaultProxy(History(), TOKENS)
    proxy.ports = [backend.port for backend in backends]
    await proxy.start()
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        try:
            yield World(proxy, backends, http)
        finally:
            await proxy.close()
            for backend in backends:
                await backend.runner.cleanup()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_of(1) as world:
        yield world


async def test_requests_and_answers_are_in_the_history_by_who_asked(world: World) -> None:
    await world.post(body={"session": "s"})
    await world.post(body={"session": "t"})
    first, second = world.proxy.history.calls()
    assert (first.who, first.method, first.route, first.body) == (
        "gpu", "POST", "/api/runners/heartbeat", {"session": "s"},
    )  # fmt: skip
    assert (first.status, first.reply["count"], second.reply["count"]) == (200, 1, 2)
    assert first.is_before(second)


async def test_connections_go_to_the_servers_in_turn_and_pass_over_dead_ones() -> None:
    async with world_of(3) as world:

        async def ports(count: int) -> set[int]:
            return {(await world.post(headers={"Connection": "close"}))["port"] for _ in range(count)}

        assert await ports(3) == set(world.proxy.ports)
        dead = world.backends[1]
        await dead.runner.cleanup()
        assert await ports(6) == set(world.proxy.ports) - {dead.port}


async def test_a_lost_answer_is_of_a_request_that_was_done(world: World) -> None:
    trap = world.trap(Moment.ANSWERED)
    with pytest.raises(aiohttp.ClientError):
        await world.post(body={"n": 1})
    await trap.over()
    assert len(world.backends[0].bodies) == 1
    assert world.proxy.history.calls()[0].status == 200
    assert (await world.post())["count"] == 2


async def test_what_is_cut_at_its_beginning_never_arrives(world: World) -> None:
    world.trap(Moment.BEGUN)
    with pytest.raises(aiohttp.ClientError):
        await world.post(body={"n": 1})
    assert world.backends[0].bodies == []


async def test_what_is_caught_at_half_has_arrived_by_half(world: World) -> None:
    caught: list[int] = []

    async def look(line: Line) -> None:
        caught.append(line.exchange.asked_bytes)
        line.cut()

    world.trap(Moment.HALF, look)
    with pytest.raises(aiohttp.ClientError):
        async with world.http.post(world.proxy.url + "/api/jobs", data=bytes(1_000_000)):
            pass
    assert 500_000 <= caught[0] < 1_000_000
    assert world.backends[0].bodies == []
    assert [call.status for call in world.proxy.history.calls()] == [None]


async def test_a_request_is_held_while_the_trap_acts_and_then_goes_on(world: World) -> None:
    release = asyncio.Event()

    async def hold(line: Line) -> None:
        await release.wait()

    trap = world.trap(Moment.ASKED, hold)
    asking = asyncio.create_task(world.post(body={"n": 1}))
    await trap.caught.wait()
    release.set()
    assert (await asking)["count"] == 1
    assert world.proxy.traps == []


async def test_a_long_answer_is_caught_in_its_midst(world: World) -> None:
    world.trap(Moment.PARTLY, path="/long")
    with pytest.raises(aiohttp.ClientError):
        async with world.http.get(world.proxy.url + "/long") as answer:
            await answer.read()
    async with world.http.get(world.proxy.url + "/long") as answer:
        assert len(await answer.read()) == 800_000


async def test_an_action_comes_to_its_end_although_its_connection_breaks(world: World) -> None:
    ended = asyncio.Event()

    async def act(line: Line) -> None:
        line.cut()
        await release.wait()
        ended.set()

    release = asyncio.Event()
    trap = world.trap(Moment.ASKED, act)
    with pytest.raises(aiohttp.ClientError):
        await world.post()
    release.set()
    await trap.over()
    assert ended.is_set()


@pytest.mark.parametrize("trouble", [Trouble.CUT, Trouble.LOSS, Trouble.HALF_OPEN])
async def test_in_bad_weather_nothing_is_answered_and_after_it_everything(
    world: World, trouble: Trouble
) -> None:
    await world.post()
    world.proxy.weather.turn(trouble)
    asking = asyncio.create_task(world.post())
    if trouble is Trouble.CUT:
        with pytest.raises(aiohttp.ClientError):
            await asking
    else:
        done, _ = await asyncio.wait({asking}, timeout=0.2)
        assert not done
    world.proxy.weather.turn(None)
    if trouble is not Trouble.CUT:
        with pytest.raises(aiohttp.ClientError):
            await asking
    assert (await world.post())["count"] == 2


@pytest.mark.parametrize("trouble", [Trouble.DELAY, Trouble.THROTTLE])
async def test_what_comes_late_comes_whole(world: World, trouble: Trouble) -> None:
    world.proxy.weather.turn(trouble)
    assert (await world.post(body={"text": "x" * 2000}))["count"] == 1


def test_an_embellished_answer_says_all_that_it_said_and_more() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: 20\r\n\r\n"
    more = embellished(head + b'{"job":{"id":"abc"}}')
    top, _, body = more.partition(b"\r\n\r\n")
    assert b'"id":"abc"' in body
    assert body.count(b"added_later") == 2
    assert b"content-length: %d" % len(body) in top
    assert b"Content-Length: 20" not in top
