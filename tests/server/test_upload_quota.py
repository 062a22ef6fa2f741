"""What somebody may not store does not lie on the disk while it arrives."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from quart.typing import TestClientProtocol as Client

from projectw_server.api import submitting
from projectw_server.api.context import Services

from .conftest import SignedIn
from .test_jobs_api import WAV, form, submit

QUOTA = 5000
"""Room for one of the recordings, and not for two."""


@pytest.fixture(autouse=True)
async def narrow(client: Client, admin: SignedIn, user: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "LINGER_SECONDS", 0)
    answer = await client.patch(
        f"/api/admin/users/{user.person.id}", headers=admin.headers, json={"quota": {"bytes": QUOTA}}
    )
    assert answer.status_code == 200


@asynccontextmanager
async def under_way(client: Client, user: SignedIn, content: bytes, **headers: str) -> AsyncIterator[Any]:
    given = (
        user.headers | {"Content-Type": "audio/wav"} | {k.replace("_", "-"): v for k, v in headers.items()}
    )
    async with client.request("/api/jobs?file_name=talk.wav", method="POST", headers=given) as request:
        await request.send(content)
        yield request


async def answer(request: Any) -> tuple[int, dict[str, Any]]:
    body = json.loads(await asyncio.wait_for(request.receive(), 10))
    return request.status_code, body


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k"}], ids=["without a key", "with a key"])
async def test_a_recording_of_unknown_length_is_refused_where_there_is_no_more_room(
    client: Client, user: SignedIn, headers: dict[str, str]
) -> None:
    async with under_way(client, user, WAV + bytes(QUOTA), **headers) as request:
        status, problem = await answer(request)
    assert (status, problem["code"]) == (403, "quota-exceeded")


async def test_a_form_is_refused_where_there_is_no_more_room(client: Client, user: SignedIn) -> None:
    body, kind = form(("file", "talk.wav", WAV + bytes(1_000_000)))
    async with under_way(client, user, body[:-100], Content_Type=kind, Idempotency_Key="k") as request:
        status, problem = await answer(request)
    assert (status, problem["code"]) == (403, "quota-exceeded")


async def test_recordings_that_arrive_at_once_have_the_room_of_one_together(
    client: Client, user: SignedIn, services: Services
) -> None:
    async with under_way(client, user, WAV[:3000], Idempotency_Key="first") as first:
        while not services.submitting._arriving:
            await asyncio.sleep(0.001)
        async with under_way(client, user, WAV[:3000]) as second:
            status, problem = await answer(second)
        assert (status, problem["code"]) == (403, "quota-exceeded")
        await first.send(WAV[3000:])
        await first.send_complete()
        status, job = await answer(first)
    assert status == 201
    assert not services.submitting._arriving
    async with under_way(client, user, WAV, Idempotency_Key="first") as again:
        await again.send_complete()
        status, same = await answer(again)
    assert (status, same["id"]) == (201, job["id"])
    assert (await submit(client, user)).status_code == 403
