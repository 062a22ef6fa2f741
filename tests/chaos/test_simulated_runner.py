"""Simulated runners against a real server: good ones do their work, bad ones do what they are said to do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from projectw_shared import messages
from projectw_shared.jobs import JobSettings, JobState
from tests.chaos.deployment import Deployment
from tests.chaos.invariants import Evidence, violations
from tests.chaos.recorded import FOLDER, message
from tests.chaos.recordings import expected, recording
from tests.chaos.simulated_runner import Manners

pytestmark = pytest.mark.journey


@pytest.fixture
async def deployment(tmp_path: Path, prepared: Path) -> AsyncIterator[Deployment]:
    async with Deployment(tmp_path, prepared=prepared) as deployment:
        yield deployment


async def submitted(deployment: Deployment, count: int) -> list[str]:
    file = recording(deployment.folder, 21.0)
    jobs = [await deployment.admin.submit(file, JobSettings(temperature=n / 100)) for n in range(count)]
    return [job.id for job in jobs]


def calls(deployment: Deployment, wants: Callable[[Any], object]) -> list[Any]:
    return [call for call in deployment.history.calls() if wants(call)]


async def found(deployment: Deployment) -> list[str]:
    return violations(Evidence(deployment.history.calls(), await deployment.look()))


async def test_good_ones_finish_every_job_with_the_text_of_the_fake_engine(deployment: Deployment) -> None:
    await deployment.simulate(20, prefix="good")
    jobs = await submitted(deployment, 10)
    assert await deployment.settle(30)
    assert await found(deployment) == []
    transcript = await deployment.admin.segments(jobs[3])
    assert transcript.segments == expected((await deployment.admin.job(jobs[3])).bytes, 0.03)


async def test_the_real_engine_writes_what_the_simulated_ones_write(deployment: Deployment) -> None:
    await deployment.start_runner("real")
    jobs = await submitted(deployment, 2)
    assert await deployment.settle(30)
    assert await found(deployment) == []
    assert (await deployment.admin.job(jobs[0])).state is JobState.SUCCEEDED


async def test_bad_ones_say_things_twice_late_or_not_at_all_and_nothing_is_lost(
    deployment: Deployment,
) -> None:
    manners = Manners(
        doubles=0.5, reorders=0.5, vanishes=0.05, sleeps=0.02, sleep_seconds=2.6, errs=0.1, hands_back=0.05
    )
    await deployment.simulate(6, prefix="bad", seed="7", manners=manners)
    await submitted(deployment, 12)
    assert await deployment.settle(60)
    assert await found(deployment) == []
    results = calls(deployment, lambda call: call.route.endswith("/result") and call.was_taken)
    said = [(call.route, call.body["lease"]) for call in results]
    assert len(said) > len(set(said)), "nothing was said twice"
    assert calls(deployment, lambda call: call.status == 409), "nothing was refused"


async def test_a_recorded_runner_is_understood_as_long_as_its_release_is_supported(
    deployment: Deployment,
) -> None:
    from tests.chaos.recorded import RecordedRunner

    jobs = await submitted(deployment, 2)
    async with RecordedRunner(deployment.proxy.url, await deployment.token("old")) as runner:
        await runner.work(1)
        runner.is_bare = True
        await runner.work(1)
    assert [(await deployment.admin.job(job)).state for job in jobs] == [JobState.SUCCEEDED] * 2
    assert await found(deployment) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("registered", messages.Registered),
        ("assigned", messages.HeartbeatReply),
        ("answered", messages.HeartbeatReply),
    ],
)
def test_the_answers_of_an_older_server_are_understood(name: str, kind: type) -> None:
    import msgspec

    for release in FOLDER.iterdir():
        msgspec.convert(message(name, release.name), kind, strict=False)


async def test_a_runner_overlooks_what_a_newer_server_adds(deployment: Deployment) -> None:
    deployment.proxy.embellish = True
    await deployment.start_runner("real", fake_speed=100)
    jobs = await submitted(deployment, 1)
    assert await deployment.settle(30)
    assert (await deployment.admin.job(jobs[0])).state is JobState.SUCCEEDED


async def test_hundreds_of_them_wait_in_one_process(deployment: Deployment) -> None:
    await deployment.simulate(200, prefix="idle")
    async with asyncio.timeout(30):
        while sum(runner.is_waiting for runner in deployment.simulated) < 200:
            await asyncio.sleep(0.02)
    await submitted(deployment, 3)
    assert await deployment.settle(30)
