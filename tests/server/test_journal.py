"""A job can be followed in the log: a line for each of its moves, and ids on every line about it."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from projectw_server.metrics import journal

from .conftest import PASSWORD
from .core import Core, appending, beat
from .live import Live, until
from .test_jobs_api import WAV
from .test_runners_api import Caller


@pytest.fixture
def core(core: Core) -> Core:
    core.moves.on_moved.append(journal.write)
    return core


def told(lines: list[Any]) -> list[str]:
    return [line["event"] for line in lines if line.get("log_level") == "info"]


def requests(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["event"] == "request"]


async def test_each_move_is_one_line_with_who_did_it(core: Core) -> None:
    person, holder = await core.person(), await core.holder()
    with capture_logs() as lines:
        job = await core.submit(person, name="secret name.wav")
        held = await core.claim(holder)
        await core.leases.beat(holder, beat(held))
        await core.leases.beat(holder, appending(held, 0, 2))
        await core.leases.beat(holder, appending(held, 2, 2))
        await core.finish(holder, held, 4)
    assert told(lines) == ["job submitted", "job assigned", "first text", "job succeeded"]
    assert {line["job_id"] for line in lines} == {job.id}
    assert {line["user"] for line in lines} == {person.id}
    for line in lines[1:]:
        assert (line["runner"], line["lease"], line["attempt"]) == (holder.runner_id, 1, 1)
    assert "secret" not in str(lines)
    assert "word" not in str(lines)


async def test_a_job_that_is_let_go_says_why_and_whose_it_was(core: Core) -> None:
    person, holder = await core.person(), await core.holder()
    await core.submit(person)
    held = await core.claim(holder)
    with capture_logs() as lines:
        await core.leases.hand_back(held.id, held.lease)
        held = await core.claim(holder)
        await core.fail(holder, held, "out-of-memory", retryable=True)
        held = await core.claim(holder)
        await core.fail(holder, held, "no-audio")
    assert told(lines) == [
        "job queued again", "job assigned", "job queued again", "job assigned", "job failed",
    ]  # fmt: skip
    handed, _, broken, _, failed = lines
    assert (handed["reason"], handed["runner"], handed["lease"]) == ("handed_back", holder.runner_id, 1)
    assert (broken["reason"], broken["code"], broken["lease"]) == ("failed_for_now", "out-of-memory", 2)
    assert (failed["reason"], failed["code"], failed["lease"]) == ("failed", "no-audio", 3)


async def test_of_a_runners_error_the_code_is_logged_and_not_its_words(core: Core) -> None:
    holder = await core.holder()
    await core.submit(await core.person())
    held = await core.claim(holder)
    with capture_logs() as lines:
        await core.fail(holder, held, "broken")
    assert lines[0]["code"] == "broken"
    assert "It broke" not in str(lines)


async def test_cancelling_is_told_when_it_is_asked_for_and_when_it_is_done(core: Core) -> None:
    person, holder = await core.person(), await core.holder()
    job = await core.submit(person)
    held = await core.claim(holder)
    with capture_logs() as lines:
        await core.jobs.cancel(person, job.id)
        await core.fail(holder, held, "cancelled")
    assert told(lines) == ["cancelling asked for", "job cancelled"]


@pytest.fixture
async def caller(live: Live) -> AsyncIterator[Caller]:
    await live.services.users.add("ada@example.org", PASSWORD)
    tokens = await live.services.sessions.login("ada@example.org", PASSWORD)
    async with aiohttp.ClientSession() as http:
        yield Caller(http, live.url, tokens.access_token)


async def submit(caller: Caller, request_id: str) -> tuple[str, str]:
    headers = caller.headers | {"Content-Type": "audio/wav", "X-Request-ID": request_id}
    async with caller.http.post(
        f"{caller.url}/api/jobs?file_name=a.wav", data=WAV, headers=headers
    ) as answer:
        assert answer.status == 201
        return (await answer.json())["id"], answer.headers["X-Request-ID"]


async def test_a_request_id_that_comes_in_is_taken_over(caller: Caller) -> None:
    with capture_logs() as lines:
        job_id, answered = await submit(caller, "from-Client_1.2")
        await until(lambda: requests(lines))
    assert answered == "from-Client_1.2"
    (access,) = requests(lines)
    assert access["job_id"] == job_id


@pytest.mark.parametrize("given", ["", "a" * 65, "with space", "semi;colon", "\u00e4"])
async def test_a_request_id_that_could_forge_something_is_replaced(caller: Caller, given: str) -> None:
    _, answered = await submit(caller, given)
    assert answered != given
    assert len(answered) == 36


async def test_what_stands_for_an_id_in_a_path_is_logged_as_one_only_if_it_is_one(caller: Caller) -> None:
    with capture_logs() as lines:
        await caller.call("GET", "/api/jobs/anything-at-all", expect=404)
        await until(lambda: requests(lines))
    (access,) = requests(lines)
    assert "job_id" not in access
