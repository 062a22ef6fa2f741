"""What operators see: the server counts what happens, with names and units as Prometheus wants them."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from projectw_server.metrics.lag import INTERVAL_SECONDS, Lag
from projectw_shared.ids import new_id

from .conftest import PASSWORD
from .live import Live, until
from .test_jobs_api import WAV
from .test_runners_api import Caller, held_back, segment

Figures = dict[tuple[str, ...], float]


def read(text: str) -> Figures:
    """Return the samples by their name and the values of their labels, in the order of the labels' names."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield http


@pytest.fixture
async def admin(live: Live, http: aiohttp.ClientSession) -> Caller:
    await live.services.users.add("root@example.org", PASSWORD, is_admin=True)
    tokens = await live.services.sessions.login("root@example.org", PASSWORD)
    return Caller(http, live.url, tokens.access_token)


async def figures(admin: Caller) -> Figures:
    async with admin.http.get(f"{admin.url}/metrics", headers=admin.headers) as answer:
        assert answer.status == 200
        return read(await answer.text())


async def submit(caller: Caller, settings: str = "{}") -> str:
    headers = caller.headers | {"Content-Type": "audio/wav"}
    async with caller.http.post(
        f"{caller.url}/api/jobs",
        params={"file_name": "a.wav", "settings": settings},
        data=WAV,
        headers=headers,
    ) as answer:
        assert answer.status == 201, await answer.text()
        job_id: str = (await answer.json())["id"]
        return job_id


async def make_runner(admin: Caller, name: str = "gpu-1") -> Caller:
    created = await admin.call("POST", "/api/runners/create", {"name": name}, expect=201)
    runner = Caller(admin.http, admin.url, created["token"])
    await runner.register()
    return runner


async def test_a_job_is_counted_from_its_submission_to_its_end(admin: Caller) -> None:
    runner = await make_runner(admin)
    job_id = await submit(admin, '{"model": "tiny"}')
    waiting = await figures(admin)
    assert waiting["projectw_jobs_submitted_total",] == 1
    assert waiting["projectw_jobs", "queued"] == 1
    assert waiting["projectw_queue_audio_seconds",] == pytest.approx(len(WAV) / 16_000)
    assert waiting["projectw_queue_oldest_age_seconds",] > 0
    assert waiting["projectw_upload_received_bytes_total",] == len(WAV)

    held = (await runner.beat())["job"]
    told = {"id": job_id, "lease": held["lease"], "progress": 0.5, "duration": 4.0, "resume_at": 2}
    await runner.beat(job=told | {"first": 0, "segments": [segment(0)]})
    running = await figures(admin)
    assert running["projectw_jobs", "running"] == 1
    assert running["projectw_runners", "working"] == 1
    assert running["projectw_job_waiting_seconds_count",] == 1
    assert running["projectw_queue_audio_seconds",] == running["projectw_queue_oldest_age_seconds",] == 0

    await runner.result(held, next=1, language="en", duration=4.0)
    over = await figures(admin)
    assert over["projectw_jobs_finished_total", "succeeded"] == 1
    assert over["projectw_job_running_seconds_count", "succeeded"] == 1
    assert over["projectw_job_real_time_factor_count", "tiny"] == 1
    assert over["projectw_job_real_time_factor_sum", "tiny"] > 4
    assert over["projectw_heartbeats_total", "idle", "assigned"] == 1
    assert over["projectw_heartbeats_total", "working", "nothing"] == 1


async def test_failed_attempts_are_counted_by_known_codes_and_the_rest_as_one(admin: Caller) -> None:
    runner = await make_runner(admin)
    for code in ("no-audio", "whatever-somebody-writes", "and-something-else"):
        await submit(admin)
        held = (await runner.beat())["job"]
        await runner.result(held, error={"code": code, "message": "It broke", "retryable": False})
    found = await figures(admin)
    assert found["projectw_attempts_failed_total", "no-audio"] == 1
    assert found["projectw_attempts_failed_total", "other"] == 2
    assert found["projectw_jobs_finished_total", "failed"] == 3


async def test_a_lease_that_runs_out_is_counted_as_lost(admin: Caller) -> None:
    runner = await make_runner(admin)
    await submit(admin)
    assert (await runner.beat())["job"]
    await runner.register()
    found = await figures(admin)
    assert found["projectw_leases_lost_total",] == 1
    assert found["projectw_attempts_failed_total", "runner-lost"] == 1
    assert found["projectw_jobs", "queued"] == 1


async def test_an_attempt_that_its_owner_ended_is_no_failure(admin: Caller) -> None:
    runner = await make_runner(admin)
    job_id = await submit(admin)
    held = (await runner.beat())["job"]
    await admin.call("POST", f"/api/jobs/{job_id}/cancel")
    error = {"code": "cancelled", "message": "Cancelled", "retryable": False}
    await runner.result(held, error=error)
    found = await figures(admin)
    assert found["projectw_jobs_finished_total", "cancelled"] == 1
    assert not [key for key in found if key[0] == "projectw_attempts_failed_total"]


async def test_runners_are_counted_by_state(admin: Caller) -> None:
    idle, working = await make_runner(admin, "idle"), await make_runner(admin, "working")
    await submit(admin)
    assert (await working.beat())["job"]
    cordoned = (await make_runner(admin, "cordoned")).session
    assert cordoned
    await admin.call("POST", "/api/runners/create", {"name": "never seen"}, expect=201)
    for each in (await admin.call("GET", "/api/runners"))["runners"]:
        if each["name"] == "cordoned":
            await admin.call("POST", f"/api/runners/{each['id']}/cordon")
    found = await figures(admin)
    states = {key[1]: value for key, value in found.items() if key[0] == "projectw_runners"}
    assert states == {"online": 3, "offline": 1, "working": 1, "idle": 1, "cordoned": 1, "draining": 0}
    assert idle.session


async def test_requests_are_counted_by_route_and_never_by_path(admin: Caller) -> None:
    for path in ("/nothing", "/api/jobs/", "/api/jobs/x/y/z", f"/{new_id()}"):
        await admin.call("GET", path, expect=404)
    for _ in range(2):
        await admin.call("GET", f"/api/jobs/{new_id()}", expect=404)
    await admin.call("PUT", f"/api/jobs/{new_id()}", expect=405)
    async with admin.http.request("BREW", f"{admin.url}/api/about") as answer:
        assert answer.status in (400, 405)
    found = await figures(admin)
    assert found["projectw_http_requests_total", "GET", "other", "404"] == 4
    assert found["projectw_http_requests_total", "GET", "/api/jobs/{id}", "404"] == 2
    assert found["projectw_http_requests_total", "PUT", "/api/jobs/{id}", "405"] == 1
    assert found["projectw_http_request_duration_seconds_count", "GET", "/api/jobs/{id}"] == 2
    methods = {key[1] for key in found if key[0] == "projectw_http_requests_total"}
    assert "BREW" not in methods


async def test_what_waits_is_counted_as_waiting_and_takes_no_time(admin: Caller, live: Live) -> None:
    runner = await make_runner(admin)
    beating = asyncio.create_task(runner.beat(wait=15))
    await held_back(live.services)
    async with admin.http.get(f"{admin.url}/api/events", headers=admin.headers) as stream:
        await stream.content.readuntil(b"\n\n")
        held = await figures(admin)
        assert held["projectw_held_heartbeats",] == 1
        assert held["projectw_event_streams",] == 1
        # The scrape itself is all that is worked on.
        assert sum(value for key, value in held.items() if key[0] == "projectw_http_requests_in_flight") == 1
    await submit(admin)
    assert (await beating)["job"]
    await until(
        lambda: live.services.bus.is_watched("nobody") is False and not live.services.bus._subscriptions
    )
    after = await figures(admin)
    assert after["projectw_held_heartbeats",] == after["projectw_event_streams",] == 0


async def test_the_database_and_the_event_loop_are_timed(admin: Caller) -> None:
    await asyncio.sleep(2 * INTERVAL_SECONDS)
    await submit(admin)
    found = await figures(admin)
    assert found["projectw_database_duration_seconds_count", "statement"] > 0
    assert found["projectw_database_duration_seconds_count", "transaction"] > 0
    assert found["projectw_event_loop_lag_seconds_count",] > 0


async def test_the_lag_is_seen_while_the_loop_is_late_and_not_only_afterwards() -> None:
    noted: list[float] = []
    lag = Lag(noted.append)
    assert lag.now() == 0
    watching = asyncio.create_task(lag.watch())
    await until(lambda: noted)
    loop = asyncio.get_running_loop()
    blocked_until = loop.time() + 3 * INTERVAL_SECONDS
    while loop.time() < blocked_until:
        pass
    assert lag.now() >= INTERVAL_SECONDS
    watching.cancel()
    await asyncio.wait([watching])
    assert lag.now() == 0


async def test_openmetrics_is_given_to_who_asks_for_it(admin: Caller) -> None:
    async with admin.http.get(
        f"{admin.url}/metrics",
        headers=admin.headers | {"Accept": "application/openmetrics-text; version=1.0.0"},
    ) as answer:
        assert answer.content_type == "application/openmetrics-text"
        assert (await answer.text()).endswith("# EOF\n")


async def test_promtool_has_nothing_to_say(admin: Caller) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; it comes with Prometheus")
    await submit(admin)
    runner = await make_runner(admin)
    held: dict[str, Any] = (await runner.beat())["job"]
    await runner.result(held, next=0, duration=1.0)
    async with admin.http.get(f"{admin.url}/metrics", headers=admin.headers) as answer:
        text = await answer.read()
    checked = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True, timeout=60
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
