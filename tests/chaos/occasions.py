"""Situations that are no fault at a point: what befalls a whole fleet, and whom one meets there."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from projectw_shared.jobs import JobSettings, JobState
from tests.chaos.deployment import Deployment
from tests.chaos.invariants import Evidence, violations
from tests.chaos.recorded import RecordedRunner
from tests.chaos.recordings import recording
from tests.chaos.simulated_runner import Manners

WAITING: Final = 200
SETTLE_SECONDS: Final = 60.0

Occasion = Callable[[Deployment, random.Random], Awaitable[list[str]]]


async def _jobs(
    deployment: Deployment, count: int, *, name: str | None = None, seconds: float = 21.0
) -> list[str]:
    submitted = []
    for _ in range(count):
        number = len(deployment.history.calls())
        file = recording(deployment.folder, seconds)
        job = await deployment.admin.submit(file, JobSettings(temperature=number % 1000 / 1000), name)
        submitted.append(job.id)
    return submitted


async def restart_under_a_waiting_fleet(deployment: Deployment, chance: random.Random) -> list[str]:
    """The server is killed while 200 runners wait for a job, and comes back to them."""
    await deployment.simulate(WAITING, prefix="waiting")
    await _until(lambda: sum(each.is_waiting for each in deployment.simulated) > WAITING * 0.9)
    await _jobs(deployment, 5)
    await deployment.restart(0, after=chance.choice((0.0, 1.0, 3.0)))
    await _jobs(deployment, 40)
    await deployment.settle(SETTLE_SECONDS)
    return []


async def a_poison_job(deployment: Deployment, chance: random.Random) -> list[str]:
    """A job that kills every runner that touches it fails after its attempts, and the fleet lives on."""
    await deployment.simulate(3, prefix="frail", manners=Manners(poison="poison"))
    good = await _jobs(deployment, 3)
    (poison,) = await _jobs(deployment, 1, name="poison.wav")
    good += await _jobs(deployment, 5)
    await deployment.settle(SETTLE_SECONDS)
    good += await _jobs(deployment, 2)
    await deployment.settle(SETTLE_SECONDS)
    jobs = (await deployment.look()).jobs
    wrong = [f"job {job} is {jobs[job].state}" for job in good if jobs[job].state != JobState.SUCCEEDED]
    if (jobs[poison].state, jobs[poison].error_code, jobs[poison].attempts) != ("failed", "runner-lost", 3):
        wrong.append(f"the poison job is {jobs[poison]}")
    return wrong


async def a_poison_job_for_real_runners(deployment: Deployment, chance: random.Random) -> list[str]:
    """The same with runner programs, which its owner's prompt makes the fake engine kill; they are started again."""
    crash = [{"fault": "crash", "at": chance.choice(("start", "between", "end")), "when_prompt": "poison"}]
    file = recording(deployment.folder, 21.0)
    poison = await deployment.admin.submit(file, JobSettings(temperature=0.5, initial_prompt="poison"))
    (good,) = await _jobs(deployment, 1)
    runner = await deployment.start_runner("frail", fake_faults=crash)
    crashes = 0
    while not (await deployment.admin.job(good)).state.is_over:
        if runner.returncode is not None:
            crashes += 1
            runner = await deployment.start_runner("frail", fake_faults=crash)
        await asyncio.sleep(0.05)
    await deployment.settle(SETTLE_SECONDS)
    jobs = (await deployment.look()).jobs
    wrong = []
    if (jobs[poison.id].state, jobs[poison.id].error_code) != ("failed", "runner-lost") or crashes < 3:
        wrong.append(f"the poison job is {jobs[poison.id]} after {crashes} crashes")
    if jobs[good].state != JobState.SUCCEEDED:
        wrong.append(f"the good job is {jobs[good]}")
    return wrong


async def two_runners_with_one_token(deployment: Deployment, chance: random.Random) -> list[str]:
    """Two runners take a token from each other without end; the jobs end all the same."""
    await _jobs(deployment, 4)
    token = await deployment.token("shared")
    for _ in range(2):
        deployment.simulate_one("shared", token, str(chance.random()), Manners(seconds_a_segment=0.1))
    await asyncio.sleep(3)
    await deployment.dismiss()
    await deployment.simulate(1, prefix="helper")
    await deployment.settle(SETTLE_SECONDS)
    return []


async def an_old_runner(deployment: Deployment, chance: random.Random) -> list[str]:
    """A runner that speaks exactly the recorded messages of an earlier release does its jobs."""
    jobs = await _jobs(deployment, 3)
    async with RecordedRunner(deployment.proxy.url, await deployment.token("old")) as runner:
        await runner.work(len(jobs))
    stored = (await deployment.look()).jobs
    return [f"job {job} is {stored[job].state}" for job in jobs if stored[job].state != JobState.SUCCEEDED]


async def a_newer_server(deployment: Deployment, chance: random.Random) -> list[str]:
    """A runner program whose server answers with fields that it does not know does its jobs."""
    deployment.proxy.embellish = True
    await deployment.start_runner("real", fake_speed=100)
    jobs = await _jobs(deployment, 2)
    await deployment.settle(SETTLE_SECONDS)
    stored = (await deployment.look()).jobs
    return [f"job {job} is {stored[job].state}" for job in jobs if stored[job].state != JobState.SUCCEEDED]


OCCASIONS: Final[dict[str, Occasion]] = {
    "server restarted under 200 waiting runners": restart_under_a_waiting_fleet,
    "a poison job": a_poison_job,
    "a poison job for real runners": a_poison_job_for_real_runners,
    "two runners with one token": two_runners_with_one_token,
    "an old runner": an_old_runner,
    "a newer server": a_newer_server,
}


async def celebrate(folder: Path, name: str, seed: str, **options: Any) -> list[str]:
    """Let the occasion ``name`` be on an installation of its own, and return what is wrong after it."""
    async with Deployment(folder, **options) as deployment, asyncio.timeout(3 * SETTLE_SECONDS):
        wrong = await OCCASIONS[name](deployment, random.Random(seed))
        await deployment.dismiss()
        await deployment.stop_runners()
        evidence = Evidence(deployment.history.calls(), await deployment.look())
        return wrong + violations(evidence)


async def _until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(SETTLE_SECONDS):
        while not holds():
            await asyncio.sleep(0.02)
