"""The routes of jobs, as a client of theirs meets them."""

import asyncio
import hashlib
import io
import json
import wave
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest
from quart.typing import TestClientProtocol as Client

from projectw_server.api.context import Services
from projectw_server.settings import ServerSettings
from projectw_shared.ids import is_id, new_id
from projectw_shared.messages import Heartbeat, HeldJob, Registration, Result
from projectw_shared.transcripts import Segment

from .conftest import KnownRunner, MakeUser, SignedIn

JOB_FIELDS = {
    "id", "file_name", "bytes", "duration", "state", "cancel_requested", "progress", "position", "eta", "settings",
    "language", "runner", "attempts", "error", "created_at", "started_at", "finished_at", "revision",
    "waiting",
}  # fmt: skip
SETTING_FIELDS = {
    "model", "language", "task", "word_timestamps", "initial_prompt", "temperature", "beam_size", "vad", "priority",
}  # fmt: skip


def recording(seconds: float = 0.1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(b"\1\0" * int(16_000 * seconds))
    return file.getvalue()


WAV = recording()


async def submit(
    client: Client,
    who: SignedIn,
    *,
    settings: dict[str, Any] | None = None,
    name: str = "talk.wav",
    content: bytes = WAV,
    **headers: str,
) -> Any:
    query = {"file_name": name} | ({} if settings is None else {"settings": json.dumps(settings)})
    return await client.post(
        "/api/jobs",
        query_string=query,
        data=content,
        headers=who.headers
        | {"Content-Type": "audio/wav"}
        | {k.replace("_", "-"): v for k, v in headers.items()},
    )


def form(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, str]:
    """Return a form of (name, file name, content), as curl would send it."""
    boundary, lines = "xxBOUNDARYxx", []
    for name, file_name, content in parts:
        about = f'form-data; name="{name}"' + ("" if file_name is None else f'; filename="{file_name}"')
        head = f"--{boundary}\r\nContent-Disposition: {about}\r\n\r\n"
        lines.append(head.encode() + content + b"\r\n")
    return b"".join(lines) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


async def send_form(
    client: Client, who: SignedIn, *parts: tuple[str, str | None, bytes], **headers: str
) -> Any:
    body, content_type = form(*parts)
    all_headers = (
        who.headers | {"Content-Type": content_type} | {k.replace("_", "-"): v for k, v in headers.items()}
    )
    return await client.post("/api/jobs", data=body, headers=all_headers)


async def problem(response: Any, status: int, code: str) -> str:
    assert response.status_code == status, await response.get_data()
    assert response.content_type == "application/problem+json"
    body = await response.get_json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["title"]
    return str(body["detail"])


async def get(client: Client, who: SignedIn, path: str) -> Any:
    response = await client.get(path, headers=who.headers)
    assert response.status_code == 200, await response.get_data()
    return await response.get_json()


Work = Callable[..., Awaitable[str]]


@pytest.fixture
def work(services: Services, runner: KnownRunner) -> Work:
    """Let a runner take the first job and bring segments; ``end`` says how it lets go, None that it does not."""

    async def take(count: int = 2, end: Result | None = None, *, finish: bool = False) -> str:
        identity = await services.runner_tokens.identify(runner.created.token)
        assert identity is not None
        registration = Registration("gpu", "1", "fake", "cpu", [])
        session = (await services.fleet.register(identity, registration)).session
        held = (await services.dispatcher.heartbeat(identity, Heartbeat(session, 0.0))).job
        assert held is not None
        segments = [Segment(n, float(n), n + 1.0, f" word{n}") for n in range(count)]
        beat = HeldJob(held.id, held.lease, 0.5, resume_at=count, duration=10.0, first=0, segments=segments)
        await services.dispatcher.heartbeat(identity, Heartbeat(session, 0.0, beat))
        if finish:
            await services.dispatcher.finish(identity, held.id, Result(held.lease, next=count, language="en"))
        return held.id

    return take


# --- submitting


async def test_a_raw_body_becomes_a_job(client: Client, user: SignedIn) -> None:
    response = await submit(
        client, user, settings={"model": "tiny", "language": "de", "priority": -3}, name="a b.wav"
    )
    assert response.status_code == 201
    job = await response.get_json()
    assert response.headers["Location"] == f"/api/jobs/{job['id']}"
    assert set(job) == JOB_FIELDS
    assert set(job["settings"]) == SETTING_FIELDS
    assert is_id(job["id"])
    assert (job["file_name"], job["bytes"], job["state"], job["position"]) == (
        "a b.wav",
        len(WAV),
        "queued",
        1,
    )
    assert (job["settings"]["model"], job["settings"]["language"], job["settings"]["priority"]) == (
        "tiny",
        "de",
        -3,
    )
    assert job["created_at"].endswith("Z")
    assert await get(client, user, f"/api/jobs/{job['id']}") == job


@pytest.mark.parametrize("settings_first", [True, False])
async def test_a_form_becomes_a_job_with_its_settings_before_or_after_the_file(
    client: Client, user: SignedIn, settings_first: bool
) -> None:
    parts = [("settings", None, b'{"model": "base"}'), ("file", "talk.wav", WAV)]
    response = await send_form(client, user, *(parts if settings_first else parts[::-1]))
    assert response.status_code == 201, await response.get_data()
    job = await response.get_json()
    assert (job["file_name"], job["bytes"], job["settings"]["model"]) == ("talk.wav", len(WAV), "base")
    stored = await client.get(f"/api/jobs/{job['id']}/audio", headers=user.headers)
    assert await stored.get_data() == WAV


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"model": "tiny.en", "language": "de"}, "knows English only"),
        ({"model": "turbo", "task": "translate"}, "turbo was not trained to translate"),
        ({"model": "gigantic"}, "there is no model"),
        ({"language": "xx"}, "no language code"),
        ({"colour": "red"}, "colour"),
        ({"priority": 11}, "between -10 and 10"),
        ({"beam_size": "many"}, "beam_size"),
    ],
)
@pytest.mark.parametrize("as_form", [True, False])
async def test_settings_that_cannot_be_honoured_are_refused_with_the_reason(
    client: Client, user: SignedIn, services: Services, wish: dict[str, Any], words: str, as_form: bool
) -> None:
    if as_form:
        written = json.dumps(wish).encode()
        response = await send_form(client, user, ("file", "a.wav", WAV), ("settings", None, written))
    else:
        response = await submit(client, user, settings=wish)
    assert words in await problem(response, 422, "invalid")
    assert (await get(client, user, "/api/jobs"))["jobs"] == []
    assert recordings_of(services) == []


def recordings_of(services: Services) -> list[str]:
    folder = services.settings.home / "recordings"
    return [path.name for path in folder.rglob("*") if path.is_file()]


async def test_a_priority_above_0_is_for_admins(
    client: Client, user: SignedIn, admin: SignedIn, services: Services
) -> None:
    for response in (
        await submit(client, user, settings={"priority": 1}),
        await send_form(client, user, ("file", "a.wav", WAV), ("settings", None, b'{"priority": 1}')),
    ):
        await problem(response, 403, "forbidden")
    assert recordings_of(services) == []
    assert (await submit(client, admin, settings={"priority": 10})).status_code == 201


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"%PDF-1.7 and more" * 50, "application/octet-stream", 415, "unsupported-media"),
        (b"<html>" * 50, "audio/wav", 415, "unsupported-media"),
        (WAV, "application/pdf", 415, "unsupported-media"),
        (b"", "audio/wav", 422, "invalid"),
    ],
)
async def test_what_is_no_recording_is_refused(
    client: Client, user: SignedIn, services: Services, body: bytes, content_type: str, status: int, code: str
) -> None:
    response = await client.post(
        "/api/jobs", data=body, headers=user.headers | {"Content-Type": content_type}
    )
    await problem(response, status, code)
    assert recordings_of(services) == []


async def test_an_unknown_parameter_of_the_query_is_refused(client: Client, user: SignedIn) -> None:
    response = await client.post("/api/jobs?colour=red", data=WAV, headers=user.headers)
    assert "colour" in await problem(response, 422, "invalid")


# --- Idempotency-Key


@pytest.mark.parametrize(
    "length", [{}, {"Content_Length": str(len(WAV))}], ids=["chunked", "with its length"]
)
async def test_a_repeated_submission_with_its_key_gives_the_first_job(
    client: Client, user: SignedIn, services: Services, length: dict[str, str]
) -> None:
    first = await submit(client, user, settings={"model": "tiny"}, Idempotency_Key='"k-1"', **length)
    again = await submit(client, user, settings={"model": "tiny"}, Idempotency_Key="k-1", **length)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Location"] == first.headers["Location"]
    assert len((await get(client, user, "/api/jobs"))["jobs"]) == 1
    assert len(recordings_of(services)) == 1


async def test_a_repeated_form_with_its_key_gives_the_first_job(
    client: Client, user: SignedIn, services: Services
) -> None:
    answers = [await send_form(client, user, ("file", "a.wav", WAV), Idempotency_Key="k") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert len(recordings_of(services)) == 1


async def test_a_key_belongs_to_one_submission_and_one_user(
    client: Client, user: SignedIn, make_user: MakeUser, services: Services
) -> None:
    assert (await submit(client, user, settings={"model": "tiny"}, Idempotency_Key="k")).status_code == 201
    settings, other_settings = b'{"model": "tiny"}', b'{"model": "base"}'
    same_size = WAV[:-2] + b"\7\7"
    longer = recording(0.3)
    length = {"Content_Length": str(len(longer))}
    for response in (
        await submit(client, user, settings={"model": "base"}, Idempotency_Key="k"),
        await submit(client, user, Idempotency_Key="k"),
        await submit(client, user, settings={"model": "tiny"}, name="other.wav", Idempotency_Key="k"),
        await submit(client, user, settings={"model": "tiny"}, content=recording(0.2), Idempotency_Key="k"),
        await submit(client, user, settings={"model": "tiny"}, content=longer, Idempotency_Key="k", **length),
        await send_form(
            client, user, ("settings", None, other_settings), ("file", "talk.wav", WAV), Idempotency_Key="k"
        ),
        await send_form(
            client, user, ("settings", None, settings), ("file", "talk.wav", same_size), Idempotency_Key="k"
        ),
    ):
        await problem(response, 422, "idempotency-key-reused")
    assert len(recordings_of(services)) == 1
    assert (await submit(client, await make_user("bob@example.org"), Idempotency_Key="k")).status_code == 201


async def test_a_key_whose_request_is_still_under_way_is_refused(
    client: Client, user: SignedIn, services: Services
) -> None:
    headers = user.headers | {"Content-Type": "audio/wav", "Idempotency-Key": "k"}
    async with client.request("/api/jobs?file_name=talk.wav", method="POST", headers=headers) as under_way:
        await under_way.send(WAV[:100])
        while not services.submitting._under_way:
            await asyncio.sleep(0.001)
        await problem(await submit(client, user, Idempotency_Key="k"), 409, "idempotency-key-in-use")
        await under_way.send(WAV[100:])
        await under_way.send_complete()
        job = json.loads(await asyncio.wait_for(under_way.receive(), 10))
    assert under_way.status_code == 201
    assert (await (await submit(client, user, Idempotency_Key="k")).get_json())["id"] == job["id"]


@pytest.mark.parametrize("key", ["", '""', "k" * 256])
async def test_a_key_that_is_none_is_refused(client: Client, user: SignedIn, key: str) -> None:
    await problem(await submit(client, user, Idempotency_Key=key), 400, "bad-request")


# --- looking


async def test_the_list_is_paged_and_filtered(client: Client, user: SignedIn) -> None:
    ids = [(await (await submit(client, user, name=f"talk {n}.wav")).get_json())["id"] for n in range(5)]
    await client.post(f"/api/jobs/{ids[0]}/cancel", headers=user.headers)
    first = await get(client, user, "/api/jobs?limit=3")
    assert set(first) == {"jobs", "next_cursor"}
    rest = await get(client, user, f"/api/jobs?limit=3&cursor={quote(first['next_cursor'])}")
    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == ids[::-1]
    assert rest["next_cursor"] is None
    cancelled = await get(client, user, "/api/jobs?state=cancelled,failed")
    assert [job["id"] for job in cancelled["jobs"]] == [ids[0]]
    assert [job["id"] for job in (await get(client, user, "/api/jobs?q=TALK+3"))["jobs"]] == [ids[3]]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "cursor=zzz", "state=sleeping", "colour=red", f"q={'x' * 256}"],
)
async def test_a_query_that_means_nothing_is_refused(client: Client, user: SignedIn, query: str) -> None:
    await problem(await client.get(f"/api/jobs?{query}", headers=user.headers), 422, "invalid")


async def test_an_estimate_for_more_bytes_than_there_can_be_is_refused(
    client: Client, user: SignedIn
) -> None:
    wish = b'{"bytes": 1%s}' % (b"0" * 400)
    headers = user.headers | {"Content-Type": "application/json"}
    await problem(await client.post("/api/estimate", data=wish, headers=headers), 422, "invalid")


EACH = [
    ("GET", "/api/jobs/{id}"), ("DELETE", "/api/jobs/{id}"), ("POST", "/api/jobs/{id}/cancel"),
    ("POST", "/api/jobs/{id}/retry"), ("GET", "/api/jobs/{id}/segments"), ("GET", "/api/jobs/{id}/transcript"),
    ("GET", "/api/jobs/{id}/audio"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), EACH)
async def test_the_job_of_somebody_else_is_not_found(
    client: Client, user: SignedIn, make_user: MakeUser, method: str, path: str
) -> None:
    job = await (await submit(client, user)).get_json()
    other = await make_user("bob@example.org")
    for job_id in (job["id"], new_id(), "nothing", "%00", "..%2f..", "x" * 2000):
        response = await client.open(path.format(id=job_id), method=method, headers=other.headers)
        if job_id == "..%2f..":  # with its slash it is no path of a route
            assert response.status_code in (404, 405)
            continue
        await problem(response, 404, "not-found")
    assert await get(client, user, f"/api/jobs/{job['id']}") == job


@pytest.mark.parametrize(
    ("method", "path"), [*EACH, ("GET", "/api/jobs"), ("POST", "/api/jobs"), ("GET", "/api/events")]
)
async def test_without_a_user_s_token_there_is_nothing(
    client: Client, runner: KnownRunner, method: str, path: str
) -> None:
    response = await client.open(path.format(id=new_id()), method=method)
    await problem(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    response = await client.open(path.format(id=new_id()), method=method, headers=runner.headers)
    await problem(response, 403, "forbidden")


# --- the life of a job


async def test_segments_and_transcript(client: Client, user: SignedIn, work: Work) -> None:
    job = await (await submit(client, user)).get_json()
    path = f"/api/jobs/{job['id']}"
    assert await get(client, user, f"{path}/segments") == {"segments": [], "next": 0, "complete": False}
    assert "queued" in await problem(
        await client.get(f"{path}/transcript", headers=user.headers), 409, "not-finished"
    )
    await work(3)
    growing = await get(client, user, f"{path}/segments?since=1")
    assert ([each["id"] for each in growing["segments"]], growing["next"], growing["complete"]) == (
        [1, 2],
        3,
        False,
    )
    assert set(growing["segments"][0]) == {
        "id", "start", "end", "text", "avg_logprob", "no_speech_prob", "compression_ratio", "temperature", "words",
        "speaker",
    }  # fmt: skip
    running = await get(client, user, path)
    assert (running["state"], running["progress"], running["attempts"], running["duration"]) == (
        "running",
        0.5,
        1,
        10.0,
    )
    assert set(running["runner"]) == {"id", "name", "version"}


async def test_every_format_of_a_finished_transcript(client: Client, user: SignedIn, work: Work) -> None:
    job = await (await submit(client, user, name="Gespräch.wav")).get_json()
    await work(2, finish=True)
    done = await get(client, user, f"/api/jobs/{job['id']}")
    assert (done["state"], done["progress"], done["language"], done["error"]) == (
        "succeeded",
        1.0,
        "en",
        None,
    )
    for format in (await get(client, user, "/api/about"))["formats"]:
        response = await client.get(f"/api/jobs/{job['id']}/transcript?format={format}", headers=user.headers)
        assert response.status_code == 200
        assert "word1" in (await response.get_data(as_text=True))
        assert f".{format}" in response.headers["Content-Disposition"]
    unknown = await client.get(f"/api/jobs/{job['id']}/transcript?format=docx", headers=user.headers)
    assert "txt" in await problem(unknown, 422, "invalid")


async def test_the_recording_comes_back_whole_and_in_parts(client: Client, user: SignedIn) -> None:
    job = await (await submit(client, user)).get_json()
    path = f"/api/jobs/{job['id']}/audio"
    assert await (await client.get(path, headers=user.headers)).get_data() == WAV
    part = await client.get(path, headers=user.headers | {"Range": "bytes=10-19"})
    assert (part.status_code, await part.get_data()) == (206, WAV[10:20])


async def test_cancelling_and_retrying(client: Client, user: SignedIn, work: Work) -> None:
    job = await (await submit(client, user)).get_json()
    path = f"/api/jobs/{job['id']}"
    await problem(await client.post(f"{path}/retry", headers=user.headers), 409, "illegal-move")
    for _ in range(2):
        response = await client.post(f"{path}/cancel", headers=user.headers)
        assert (await response.get_json())["state"] == "cancelled"
    response = await client.post(f"{path}/retry", headers=user.headers)
    assert (await response.get_json())["state"] == "queued"
    await work(1)
    for _ in range(2):
        asked = await (await client.post(f"{path}/cancel", headers=user.headers)).get_json()
        assert (asked["state"], asked["cancel_requested"]) == ("running", True)


async def test_a_finished_job_cannot_be_cancelled(client: Client, user: SignedIn, work: Work) -> None:
    job = await (await submit(client, user)).get_json()
    await work(1, finish=True)
    detail = await problem(
        await client.post(f"/api/jobs/{job['id']}/cancel", headers=user.headers), 409, "illegal-move"
    )
    assert "succeeded" in detail


async def test_a_deleted_job_is_gone_with_its_recording(
    client: Client, user: SignedIn, services: Services, work: Work
) -> None:
    job = await (await submit(client, user)).get_json()
    await work(1)
    response = await client.delete(f"/api/jobs/{job['id']}", headers=user.headers)
    assert (response.status_code, await response.get_data()) == (204, b"")
    await problem(await client.get(f"/api/jobs/{job['id']}", headers=user.headers), 404, "not-found")
    assert recordings_of(services) == []


# --- what arrives is what was sent


async def test_the_digest_of_the_recording_is_told(
    client: Client, user: SignedIn, settings: ServerSettings
) -> None:
    job = await (await submit(client, user)).get_json()
    response = await client.get(f"/api/jobs/{job['id']}/audio", headers=user.headers)
    assert response.headers["ETag"] == f'"{hashlib.sha256(WAV).hexdigest()}"'
