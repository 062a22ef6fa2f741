"""The clients' way to the server, against real sockets."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import stamina
from aiohttp import web

from projectw_shared import http
from projectw_shared.accounts import Login, Tokens
from projectw_shared.errors import (
    Conflict,
    Gap,
    Internal,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
    to_problem,
)
from projectw_shared.http import Api, Credentials, Exchange, FixedToken
from projectw_shared.ids import new_id
from projectw_shared.messages import Registered

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REPLY = {"runner_id": "r", "session": "s", "heartbeat_seconds": 15, "lease_seconds": 60, "novelty": True}


def problem(error: Exception, **headers: str) -> web.Response:
    document = to_problem(error)  # type: ignore[arg-type]
    return web.json_response(
        document, status=document["status"], headers=headers, content_type="application/problem+json"
    )


class Script:
    """A server that gives its answers one after the other, the last one for ever, and remembers requests."""

    def __init__(self) -> None:
        self.answers: list[Callable[[], web.Response]] = []
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        make = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return make()

    @property
    def tokens(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.requests]


class Renewable:
    """Credentials whose first token is old."""

    def __init__(self, *, renewable: bool = True) -> None:
        self.token, self.refused = "old", list[str]()
        self._renewable = renewable

    async def bearer(self) -> str | None:
        return self.token

    async def renew(self, refused: str) -> bool:
        self.refused.append(refused)
        self.token = "new"
        return self._renewable


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def url(serve: Callable[[Handler], Awaitable[str]], script: Script) -> str:
    return await serve(script.answer)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between tries, kept instead of slept through."""
    kept: list[float] = []

    async def pause(seconds: float) -> None:
        kept.append(seconds)

    monkeypatch.setattr(stamina._core, "_smart_sleep", pause)
    return kept


def api(
    url: str,
    credentials: Credentials | None = None,
    on_exchange: Callable[[Exchange], object] | None = None,
) -> Api:
    return Api(
        url,
        credentials=credentials or FixedToken("pwt_x"),
        user_agent="projectw-test/1",
        on_exchange=on_exchange,
    )


def ok() -> web.Response:
    return web.json_response(REPLY)


# --- one request ------------------------------------------------------------------------------------------


async def test_a_message_goes_out_as_json_with_token_and_query_and_its_answer_comes_back_typed(
    url: str, script: Script
) -> None:
    script.answers = [ok]
    async with api(url) as client:
        reply = await client.call(
            "POST", "/api/x", reply=Registered, body=Login("a", "b"), query={"since": 3, "state": None},
            headers={"Idempotency-Key": "k"},
        )  # fmt: skip
    assert reply == Registered("r", "s", 15, 60)
    (request,) = script.requests
    assert (request.path, dict(request.query)) == ("/api/x", {"since": "3"})
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"] == "Bearer pwt_x"
    assert request.headers["Idempotency-Key"] == "k"
    assert request.headers["User-Agent"] == "projectw-test/1"
    assert msgspec.json.decode(script.bodies[0]) == {"email": "a", "password": "b"}


async def test_without_a_token_no_authorization_is_sent(url: str, script: Script) -> None:
    script.answers = [ok]
    async with api(url, FixedToken(None)) as client:
        await client.call("GET", "/api/about", reply=Registered)
    assert script.tokens == [None]


async def test_an_empty_answer_is_none(url: str, script: Script) -> None:
    script.answers = [lambda: web.Response(status=204)]
    async with api(url) as client:
        assert await client.call("DELETE", "/api/jobs/1", reply=type(None)) is None


async def test_a_problem_is_raised_as_the_class_that_the_server_raised(url: str, script: Script) -> None:
    script.answers = [lambda: problem(Gap("two are missing", next=7))]
    async with api(url) as client:
        with pytest.raises(Gap, match="two are missing") as caught:
            await client.call("POST", "/", reply=Registered)
    assert caught.value.next == 7


async def test_a_page_of_a_proxy_is_read_only_in_part_and_becomes_the_class_of_its_status(
    url: str, script: Script
) -> None:
    script.answers = [lambda: web.Response(status=500, body=b"x" * 10_000_000)]
    async with api(url) as client:
        with pytest.raises(Internal, match="HTTP 500"):
            await client.call("POST", "/", reply=Registered)


async def test_an_answer_of_something_else_says_that_the_address_may_be_wrong(
    url: str, script: Script
) -> None:
    script.answers = [lambda: web.Response(text="<html>router</html>")]
    async with api(url) as client:
        with pytest.raises(Unreachable, match="is the address right"):
            await client.call("POST", "/", reply=Registered)


async def test_a_redirection_is_not_followed_with_the_token_but_told(url: str, script: Script) -> None:
    script.answers = [lambda: web.Response(status=301, headers={"Location": "https://evil.example/"})]
    async with api(url) as client:
        with pytest.raises(Unreachable, match=r"sends on to https://evil\.example/; is the address right"):
            await client.call("POST", "/", reply=Registered)
    assert len(script.requests) == 1


# --- trying again -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "passing",
    [lambda: problem(Unavailable()), lambda: web.Response(status=502), lambda: problem(TooManyRequests())],
)
async def test_what_passes_by_itself_is_tried_again_when_the_method_allows_it(
    url: str, script: Script, passing: Callable[[], web.Response]
) -> None:
    script.answers = [passing, passing, ok]
    async with api(url) as client:
        assert await client.call("GET", "/", reply=Registered) == Registered("r", "s", 15, 60)
    assert len(script.requests) == 3


async def test_a_post_is_sent_once_unless_it_is_said_to_be_repeatable(url: str, script: Script) -> None:
    script.answers = [lambda: problem(Unavailable())]
    async with api(url) as client:
        with pytest.raises(Unavailable):
            await client.call("POST", "/", reply=Registered)
        assert len(script.requests) == 1
        with pytest.raises(Unavailable):
            await client.call("POST", "/", reply=Registered, repeatable=True, attempts=3)
    assert len(script.requests) == 4


@pytest.mark.parametrize("error", [NotFound(), Conflict(), Internal()])
async def test_what_does_not_pass_by_itself_is_not_tried_again(
    url: str, script: Script, error: Exception
) -> None:
    script.answers = [lambda: problem(error)]
    async with api(url) as client:
        with pytest.raises(type(error)):
            await client.call("GET", "/", reply=Registered)
    assert len(script.requests) == 1


async def test_a_pause_is_at_least_as_long_as_the_server_asks_for(
    url: str, script: Script, pauses: list[float]
) -> None:
    script.answers = [lambda: problem(TooManyRequests(), **{"Retry-After": "7"}), ok]
    async with api(url) as client:
        await client.call("GET", "/", reply=Registered)
    (pause,) = pauses
    assert 7 <= pause <= 7 * 1.25


async def test_a_very_long_pause_is_left_to_the_caller(url: str, script: Script, pauses: list[float]) -> None:
    script.answers = [lambda: problem(Unavailable(), **{"Retry-After": "3600"})]
    async with api(url) as client:
        with pytest.raises(Unavailable) as caught:
            await client.call("GET", "/", reply=Registered)
    assert caught.value.retry_after == 3600
    assert pauses == []


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "nan", "inf", ""])
async def test_a_retry_after_that_is_no_number_of_seconds_counts_as_absent(
    url: str, script: Script, header: str
) -> None:
    script.answers = [lambda: problem(Conflict(), **{"Retry-After": header})]
    async with api(url) as client:
        with pytest.raises(Conflict) as caught:
            await client.call("GET", "/", reply=Registered)
    assert caught.value.retry_after is None


async def test_retries_write_nothing_to_stdout(
    url: str, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script.answers = [lambda: problem(Unavailable()), ok]
    async with api(url) as client:
        await client.call("GET", "/", reply=Registered)
    assert capsys.readouterr().out == ""


# --- credentials ------------------------------------------------------------------------------------------


async def test_a_refused_token_is_renewed_once_and_the_request_sent_again(url: str, script: Script) -> None:
    script.answers = [lambda: problem(Unauthorized()), ok]
    credentials = Renewable()
    async with api(url, credentials) as client:
        await client.call("POST", "/", reply=Registered, body=Login("a", "b"))
    assert script.tokens == ["Bearer old", "Bearer new"]
    assert script.bodies[0] == script.bodies[1]
    assert credentials.refused == ["old"]


async def test_a_second_refusal_is_final(url: str, script: Script) -> None:
    script.answers = [lambda: problem(Unauthorized())]
    async with api(url, Renewable()) as client:
        with pytest.raises(Unauthorized):
            await client.call("GET", "/", reply=Registered)
    assert script.tokens == ["Bearer old", "Bearer new"]


async def test_what_cannot_be_renewed_is_not_sent_again(url: str, script: Script) -> None:
    script.answers = [lambda: problem(Unauthorized())]
    for credentials in (Renewable(renewable=False), FixedToken("x"), FixedToken(None)):
        script.requests.clear()
        async with api(url, credentials) as client:
            with pytest.raises(Unauthorized):
                await client.call("GET", "/", reply=Registered)
        assert len(script.requests) == 1


async def test_a_stream_that_was_sent_is_not_sent_again_after_a_refusal(url: str, script: Script) -> None:
    script.answers = [lambda: problem(Unauthorized())]
    credentials = Renewable()

    async def data() -> AsyncIterator[bytes]:
        yield b"once"

    async with api(url, credentials) as client:
        with pytest.raises(Unauthorized):
            async with client.open("POST", "/", data=data()):
                pass
    assert credentials.refused == []


# --- no answer --------------------------------------------------------------------------------------------


async def test_no_server_is_unreachable_after_all_tries(pauses: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with api(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(Unreachable, match=f"http://127.0.0.1:{port} cannot be reached"):
            await client.call("GET", "/", reply=Registered, attempts=3)
    assert len(pauses) == 2


async def test_a_server_that_does_not_answer_in_time_is_unreachable(
    serve: Callable[[Handler], Awaitable[str]],
) -> None:
    forever = asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        await forever.wait()
        return web.Response()

    async with api(await serve(hold)) as client:
        with pytest.raises(Unreachable, match="no answer in time"):
            await client.call("POST", "/", reply=Registered, timeout=0.05)
        with pytest.raises(Unreachable):
            async with client.open("GET", "/", timeout=None, idle_timeout=0.05):
                pass
    forever.set()


async def test_outside_of_its_context_nothing_is_sent() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await api("http://127.0.0.1:1").call("POST", "/", reply=Tokens)


def test_a_ca_file_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises((OSError, ssl.SSLError)):
        Api("https://x.example", credentials=FixedToken(None), user_agent="t", ca_file=tmp_path / "ca.pem")


@pytest.mark.parametrize("body", [b'{"x":' + b"[" * 60_000, b'{"runner_id": "\xff"}', b"<html>"])
async def test_what_no_decoder_bears_is_no_answer_of_ours(url: str, script: Script, body: bytes) -> None:
    script.answers = [lambda: web.Response(body=body, content_type="application/json")]
    async with api(url) as client:
        with pytest.raises(Unreachable, match="not Project W's"):
            await client.call("POST", "/x", reply=Registered)


async def test_an_answer_without_end_is_given_up(
    url: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_REPLY_BYTES", 1000)
    script.answers = [lambda: web.Response(body=b" " * 100_000)]
    async with api(url) as client:
        with pytest.raises(Unreachable, match="no end"):
            await client.call("POST", "/x", reply=Registered)


@pytest.mark.parametrize("token", ["a\r\nX: y", "a\n", "schlüssel"])
async def test_a_token_that_would_break_the_header_is_not_sent(url: str, script: Script, token: str) -> None:
    async with api(url, FixedToken(token)) as client:
        with pytest.raises(Unauthorized, match="no token has"):
            await client.call("GET", "/x", reply=Registered)
    assert script.requests == []


# --- what a log is told -----------------------------------------------------------------------------------


async def test_each_request_has_an_id_of_its_own_and_is_told_with_its_answer(
    url: str, script: Script
) -> None:
    told: list[Exchange] = []
    job_id = new_id()
    script.answers = [
        lambda: problem(Unavailable("later")),
        lambda: web.json_response(REPLY, status=201, headers={"Location": f"/api/jobs/{job_id}"}),
        ok,
    ]
    async with api(url, on_exchange=told.append) as client:
        await client.call("PUT", "/api/jobs", reply=Registered)
        await client.call("GET", f"/api/runners/jobs/{job_id}/audio", reply=Registered)
    sent = [request.headers["X-Request-ID"] for request in script.requests]
    assert [each.request_id for each in told] == sent
    assert len(set(sent)) == 3
    assert [each.status for each in told] == [503, 201, 200]
    assert [each.job_id for each in told] == [None, job_id, job_id]


async def test_a_request_without_an_answer_is_told_too() -> None:
    told: list[Exchange] = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with api(url, on_exchange=told.append) as client:
        with pytest.raises(Unreachable):
            await client.call("POST", "/x", reply=Registered)
    (exchange,) = told
    assert exchange.status is None
    assert "job_id" not in exchange.fields()
