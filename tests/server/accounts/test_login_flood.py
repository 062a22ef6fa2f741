"""A flood of sign-ins takes the threads that hash, and nothing of anybody else's."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from quart.typing import TestClientProtocol as Client

from projectw_server.accounts.passwords import Passwords
from projectw_server.api.context import Services
from projectw_shared import routes

from ..live import until

BODY = {"email": "ada@example.org", "password": "a wrong password"}


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until this is set no password is found right or wrong."""
    go = threading.Event()

    def matches(*_: object) -> bool:
        assert go.wait(60)
        return False

    monkeypatch.setattr(Passwords, "_matches", matches)
    yield go
    go.set()


async def test_others_are_served_while_sign_ins_wait_and_further_ones_are_refused(
    client: Client, services: Services, user: Any, go: threading.Event
) -> None:
    waiting = []
    while not services.passwords.is_full:
        waiting.append(asyncio.create_task(client.post(routes.LOGIN, json=BODY)))
        await asyncio.sleep(0.001)
    in_all = services.settings.max_requests_in_flight
    assert len(waiting) > in_all / 2, "as many as would take every turn there is for people"
    for path in (routes.ME, routes.JOBS):
        async with asyncio.timeout(10):
            assert (await client.get(path, headers=user.headers)).status_code == 200
    refused = await client.post(routes.LOGIN, json=BODY)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    go.set()
    answers = await asyncio.gather(*waiting)
    assert {answer.status_code for answer in answers} <= {401, 429, 503}
    await until(lambda: not services.passwords.is_full)


async def test_what_is_refused_costs_no_look_at_the_account(
    client: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Passwords, "is_full", True)
    monkeypatch.delattr(type(services.sessions), "login")
    answer = await client.post(routes.LOGIN, json=BODY)
    assert (answer.status_code, (await answer.get_json())["code"]) == (503, "busy")
    assert (await client.post(routes.REFRESH, json={"refresh_token": "x"})).status_code == 401
