"""Who gets which job: what a runner offers, whom a job has failed at, and claims side by side."""

import asyncio

import pytest

from projectw_server.accounts.principals import Person
from projectw_server.jobs.claiming import Holder, NotFree
from projectw_shared.jobs import JobSettings

from ..core import Core, beat


async def runner_with(core: Core, *models: str, device: str = "cpu") -> Holder:
    runner = await core.runner("-".join(models) or "bare")
    return await core.register(runner, models=list(models), device=device)


async def test_a_job_goes_to_a_runner_that_offers_what_it_needs(core: Core, person: Person) -> None:
    large = await core.submit(person, settings=JobSettings(model="large-v3"))
    german = await core.submit(person, settings=JobSettings(language="de"))
    any_job = await core.submit(person)
    english, small, big = [
        await runner_with(core, *models) for models in (["tiny.en"], ["tiny"], ["large-v3"])
    ]
    assert (await core.claim(english)).id == any_job.id
    assert (await core.claim(small)).id == german.id
    assert (await core.claim(big)).id == large.id


async def test_a_job_that_no_runner_can_do_stands_in_nobodys_way(core: Core, person: Person) -> None:
    for _ in range(5):
        await core.submit(person, settings=JobSettings(model="large-v3", device="gpu"))
    later = await core.submit(await core.person())
    small = await runner_with(core, "tiny", "large-v3")
    assert (await core.claim(small)).id == later.id
    await core.leases.hand_back(later.id, 1)
    assert (await core.claim(small)).id == later.id


async def test_a_job_is_not_tried_again_at_the_runner_where_it_failed_while_there_is_another(
    core: Core, person: Person
) -> None:
    first, second = await core.holder("first"), await core.holder("second")
    job = await core.submit(person)
    await core.fail(first, await core.claim(first), retryable=True)
    assert await core.leases.claim(first, is_alone=False) is None
    assert (await core.claim(second)).id == job.id
    await core.fail(second, await core.leases.held_by(second), retryable=True)  # type: ignore[arg-type]  # it holds it
    # The one at which it failed last is alone now.
    assert (await core.leases.claim(second, is_alone=True)).id == job.id  # type: ignore[union-attr]  # it waits


async def test_a_job_that_was_handed_back_may_go_to_the_same_runner(core: Core, person: Person) -> None:
    holder = await core.holder()
    job = await core.submit(person)
    held = await core.claim(holder)
    await core.leases.hand_back(job.id, held.lease)
    assert await core.leases.claim(holder, is_alone=False) is not None


async def test_the_roster_knows_who_is_alone_in_what_it_offers(core: Core) -> None:
    small, large = await runner_with(core, "tiny"), await runner_with(core, "tiny", "large-v3")
    await core.roster.refresh()
    assert not core.roster.is_alone(small)
    assert core.roster.is_alone(large)
    await core.fleet.cordon(large.runner_id, cordoned=True)
    await core.roster.refresh()
    assert core.roster.is_alone(small)


@pytest.mark.parametrize("runners", [1, 12])
async def test_claims_side_by_side_give_each_job_once_and_each_runner_one(
    core: Core, person: Person, runners: int
) -> None:
    holders = [await core.holder(f"gpu-{n}") for n in range(runners)]
    jobs = {(await core.submit(person)).id for _ in range(10)}

    async def claim(holder: Holder) -> str | None:
        try:
            held = await core.leases.claim(holder)
        except NotFree:
            return None
        return held.id if held else None

    got = await asyncio.gather(*(claim(holder) for holder in holders for _ in range(3)))
    found = [job_id for job_id in got if job_id]
    assert len(found) == len(set(found)) == min(runners, len(jobs))
    held = await core.database.rows("SELECT runner_id FROM jobs WHERE state = 'assigned'")
    assert len({row["runner_id"] for row in held}) == len(held)


async def test_a_session_that_ends_while_it_claims_holds_nothing(core: Core, person: Person) -> None:
    for _ in range(20):
        runner = await core.runner()
        former = await core.register(runner)
        await core.submit(person)
        claim, latter = await asyncio.gather(
            core.leases.claim(former), core.register(runner), return_exceptions=True
        )
        assert isinstance(latter, Holder)
        assert claim is None or not isinstance(claim, BaseException) or isinstance(claim, NotFree)
        held = await core.database.rows(
            "SELECT id FROM jobs WHERE runner_id = $1 AND state = 'assigned'", runner.id
        )
        assert held == []
        # Nothing keeps the new session from working.
        taken = await core.claim(latter)
        await core.leases.beat(latter, beat(taken))
        await core.finish(latter, taken)


async def test_a_cordoned_runner_is_given_nothing_also_in_the_last_moment(
    core: Core, person: Person, holder: Holder
) -> None:
    await core.submit(person)
    await core.fleet.cordon(holder.runner_id, cordoned=True)
    with pytest.raises(NotFree):
        await core.leases.claim(holder)
