"""Errors as problem details, whoever raised them."""

import asyncio
import errno
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest
from quart import Quart, abort, request
from quart.typing import TestClientProtocol as Client
from structlog.testing import capture_logs
from tortoise.exceptions import OperationalError

from projectw_server.api import problems
from projectw_server.db.failures import translated
from projectw_shared.errors import (
    Conflict,
    Gap,
    NotFound,
    ProjectWError,
    StorageFull,
    TooManyRequests,
    Unavailable,
    from_problem,
)

SECRET = "postgres://user:hunter2@db/projectw"


@pytest.fixture
async def failing() -> AsyncIterator[tuple[Client, dict[str, BaseException]]]:
    """An app whose one route raises what stands under ``error``."""
    app = Quart("failing")
    problems.install(app, translated)
    box: dict[str, BaseException] = {}

    @app.get("/fail")
    async def fail() -> str:
        raise box["error"]

    @app.get("/abort/<int:status>")
    async def stop(status: int) -> str:
        abort(status)

    @app.post("/form")
    async def form() -> str:
        return (await request.get_json())["x"]

    async with app.test_app():
        yield app.test_client(), box


async def answer_to(failing: Any, error: BaseException) -> Any:
    client, box = failing
    box["error"] = error
    return await client.get("/fail")


@pytest.mark.parametrize(
    "error",
    [NotFound(), Conflict("Busy with another"), Gap("Send from 3", next=3), TooManyRequests(), Unavailable()],
)
async def test_an_error_arrives_as_it_was_raised(failing: Any, error: ProjectWError) -> None:
    answer = await answer_to(failing, error)
    assert answer.status_code == error.status
    assert answer.content_type == "application/problem+json"
    back = from_problem(answer.status_code, await answer.get_data())
    assert (type(back), back.detail, back.extensions) == (type(error), error.detail, error.extensions)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (TooManyRequests(), "1"),
        (Unavailable(retry_after=2.1), "3"),
        (Unavailable(retry_after=0.01), "1"),
        (Unavailable(retry_after=0), "1"),
    ],
)
async def test_who_should_come_back_is_told_when_in_whole_seconds(
    failing: Any, error: ProjectWError, seconds: str
) -> None:
    assert (await answer_to(failing, error)).headers["Retry-After"] == seconds


@pytest.mark.parametrize("status", [400, 404, 405, 408, 413, 415, 416, 418, 422, 429, 500, 503, 505])
async def test_the_frameworks_errors_are_problems_too(failing: Any, status: int) -> None:
    client, _ = failing
    answer = await client.get(f"/abort/{status}")
    document = await answer.get_json()
    assert answer.content_type == "application/problem+json"
    assert answer.status_code == document["status"] == status
    assert document["type"] == f"/problems/{document['code']}"
    assert document["detail"]
    assert ("Retry-After" in answer.headers) == (status in (429, 503))


async def test_a_wrong_method_says_which_are_right(failing: Any) -> None:
    client, _ = failing
    answer = await client.put("/fail")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert (await answer.get_json())["code"] == "method-not-allowed"


async def test_what_nobody_foresaw_is_logged_and_not_told(failing: Any) -> None:
    with capture_logs() as logs:
        answer = await answer_to(failing, RuntimeError(SECRET))
    document = await answer.get_json()
    assert answer.status_code == 500
    assert document["code"] == "internal"
    assert "hunter2" not in str(document)
    [entry] = [each for each in logs if each["log_level"] == "error"]
    assert entry["reference"] == document["reference"]
    assert document["reference"] in document["detail"]
    assert "hunter2" in str(entry["exc_info"])


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OperationalError("database is locked"), Unavailable),
        (sqlite3.OperationalError("database is locked"), Unavailable),
        (OperationalError(sqlite3.OperationalError("database or disk is full")), StorageFull),
        (OSError(errno.ENOSPC, "No space left on device"), StorageFull),
        (OperationalError("disk I/O error"), Unavailable),
        (ConnectionRefusedError(111, "refused"), Unavailable),
    ],
)
async def test_a_database_that_cannot_is_told_apart_from_a_mistake(
    failing: Any, error: Exception, kind: type[ProjectWError]
) -> None:
    answer = await answer_to(failing, error)
    assert answer.status_code == kind.status
    assert (await answer.get_json())["code"] == kind.code


async def test_a_mistake_in_our_sql_is_an_internal_error(failing: Any) -> None:
    answer = await answer_to(failing, OperationalError("no such column: nonsense"))
    assert answer.status_code == 500
    assert "nonsense" not in await answer.get_data(as_text=True)


async def test_being_cancelled_is_no_error() -> None:
    app = Quart("cancelled")
    problems.install(app, translated)
    entered = asyncio.Event()

    @app.get("/wait")
    async def wait() -> str:
        entered.set()
        await asyncio.Event().wait()
        return ""

    with capture_logs() as logs:
        asking = asyncio.create_task(app.test_client().get("/wait"))
        await entered.wait()
        asking.cancel()
        await asyncio.wait([asking])
    assert asking.cancelled()
    assert logs == []
