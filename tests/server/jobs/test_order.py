"""The order of the queue, by simulation through the functions that the server uses."""

from collections import Counter

import pytest

from projectw_server.accounts.principals import Person
from projectw_server.db import Database, Transaction
from projectw_server.jobs import order, service
from projectw_server.jobs.claiming import Holder
from projectw_server.jobs.order import cost
from projectw_server.jobs.service import Recording
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Job

from ..core import Core, beat

MINUTE = 60


@pytest.fixture(autouse=True)
def always_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the virtual time be exact also where several servers share it."""
    monkeypatch.setattr(order, "SHARED_PAUSE_SECONDS", 0.0)


async def serve_all(core: Core, holder: Holder, most: int = 1000) -> list[str]:
    """Let one runner work until nothing waits, and return the ids of the jobs in the order of their turns."""
    served = []
    while len(served) < most and (held := await core.leases.claim(holder)):
        served.append(held.id)
        await core.finish(holder, held)
    return served


async def submit_many(
    core: Core, person: Person, count: int, *, size: int = 1000, priority: int = 0
) -> list[Job]:
    return [await core.submit(person, size=size, priority=priority) for _ in range(count)]


async def positions(core: Core, person: Person) -> dict[str, int | None]:
    page = await core.jobs.page(person, states=[], text=None, limit=200, cursor=None)
    return {job.id: job.position for job in page.jobs}


async def test_ten_users_with_one_job_each_do_not_wait_for_five_hundred_of_another(
    core: Core, holder: Holder
) -> None:
    glutton = await core.person()
    await submit_many(core, glutton, 500)
    others = [await core.submit(await core.person()) for _ in range(10)]
    first_turns = await serve_all(core, holder, 11)
    assert {job.id for job in others} <= set(first_turns)


async def test_users_with_many_jobs_take_turns(core: Core, holder: Holder) -> None:
    people = [await core.person() for _ in range(3)]
    owner = {job.id: person.id for person in people for job in await submit_many(core, person, 5)}
    turns = [owner[job_id] for job_id in await serve_all(core, holder)]
    for begin in range(0, 15, 3):
        assert len(set(turns[begin : begin + 3])) == 3


async def test_whoever_sends_larger_recordings_gets_fewer_turns(core: Core, holder: Holder) -> None:
    large, small = await core.person(), await core.person()
    owner = {job.id: "large" for job in await submit_many(core, large, 20, size=4000)}
    owner |= {job.id: "small" for job in await submit_many(core, small, 20, size=1000)}
    turns = Counter(owner[job_id] for job_id in await serve_all(core, holder, 10))
    assert turns["small"] == 4 * turns["large"]


async def test_a_user_s_own_jobs_keep_the_order_in_which_they_came(
    core: Core, person: Person, holder: Holder
) -> None:
    jobs = await submit_many(core, person, 20)
    assert await serve_all(core, holder) == [job.id for job in jobs]


async def test_a_higher_priority_comes_first_whoever_waits(
    core: Core, person: Person, holder: Holder
) -> None:
    low = await core.submit(person, priority=-1)
    plain = await core.submit(person)
    urgent = await core.submit(await core.person(), priority=5)
    assert await serve_all(core, holder) == [urgent.id, plain.id, low.id]


async def test_a_job_of_one_priority_costs_nobody_a_turn_in_another(
    core: Core, person: Person, holder: Holder
) -> None:
    await core.submit(person, size=10**9, priority=5)
    await serve_all(core, holder)
    other = await core.person()
    mine = await core.submit(person)
    theirs = await core.submit(other)
    later = await core.submit(other)
    assert await serve_all(core, holder) == [mine.id, theirs.id, later.id]


async def test_a_cancelled_job_gives_its_turn_back(core: Core, person: Person, holder: Holder) -> None:
    for job in await submit_many(core, person, 50):
        await core.jobs.cancel(person, job.id)
    other = await core.person()
    theirs = await submit_many(core, other, 3)
    mine = await core.submit(person)
    turns = await serve_all(core, holder)
    assert turns.index(mine.id) <= 1
    assert len(turns) == len(theirs) + 1


async def test_a_job_cancelled_while_it_ran_was_a_turn(core: Core, person: Person, holder: Holder) -> None:
    other = await core.person()
    theirs = await submit_many(core, other, 4)
    turns = []
    for _ in range(3):
        mine = await core.submit(person)
        held = await core.claim(holder)
        while held.id != mine.id:
            turns.append(held.id)
            await core.finish(holder, held)
            held = await core.claim(holder)
        await core.leases.beat(holder, beat(held))
        await core.jobs.cancel(person, mine.id)
        await core.fail(holder, held, "cancelled")
    assert len(turns) >= 2
    assert set(turns) <= {job.id for job in theirs}


async def test_deleting_what_is_done_does_not_buy_the_next_turn(
    core: Core, person: Person, holder: Holder
) -> None:
    other = await core.person()
    await submit_many(core, other, 5)
    turns = []
    for _ in range(4):
        mine = await core.submit(person)
        while (held := await core.claim(holder)).id != mine.id:
            turns.append(held.id)
            await core.finish(holder, held)
        await core.finish(holder, held)
        await core.jobs.delete(person, mine.id)
    assert len(turns) >= 3


async def test_somebody_who_comes_later_does_not_overtake_for_the_time_of_absence(
    core: Core, person: Person, holder: Holder
) -> None:
    """Virtual time: who was away has no claim on the turns that others took meanwhile."""
    await submit_many(core, person, 50)
    await serve_all(core, holder, 30)
    late = await core.person()
    await submit_many(core, late, 10)
    owners = [(await core.row(job_id))["owner_id"] for job_id in await serve_all(core, holder, 10)]
    assert 4 <= owners.count(late.id) <= 6


async def test_virtual_time_survives_a_restart(
    core: Core, person: Person, holder: Holder, database: Database
) -> None:
    await submit_many(core, person, 20)
    await serve_all(core, holder, 10)
    served = await core.row((await serve_all(core, holder, 1))[0])
    restarted = Core(database)
    newcomer = await restarted.submit(await restarted.person())
    assert (await restarted.row(newcomer.id))["start_tag"] == served["start_tag"]


async def test_virtual_time_does_not_go_back_when_an_earlier_job_is_served_again(
    core: Core, person: Person, holder: Holder
) -> None:
    _, second = await submit_many(core, person, 2)
    first_held = await core.claim(holder)
    await core.claim(await core.holder("other"))
    await core.leases.hand_back(first_held.id, first_held.lease)
    await core.claim(holder)
    newcomer = await core.submit(await core.person())
    assert (await core.row(newcomer.id))["start_tag"] == (await core.row(second.id))["start_tag"]


async def test_a_job_that_is_queued_again_keeps_its_place(core: Core, person: Person, holder: Holder) -> None:
    first, *_ = await submit_many(core, person, 5)
    held = await core.claim(holder)
    await core.fail(holder, held, retryable=True)
    assert (await core.jobs.get(person, first.id)).position == 1
    assert (await core.claim(holder)).id == first.id


async def test_a_retried_job_takes_a_new_place_behind_its_owner_s_others(
    core: Core, person: Person, holder: Holder
) -> None:
    first, second, third = await submit_many(core, person, 3)
    await core.fail(holder, await core.claim(holder))
    assert (await core.jobs.retry(person, first.id)).position == 3
    assert await serve_all(core, holder) == [second.id, third.id, first.id]


async def test_positions_count_everybody_s_jobs(core: Core, person: Person, holder: Holder) -> None:
    assert await positions(core, person) == {}
    mine = await core.submit(person)
    assert mine.position == 1
    theirs = await submit_many(core, await core.person(), 3)
    assert [job.position for job in theirs] == [2, 3, 4]
    assert await positions(core, person) == {mine.id: 1}
    second = await core.submit(person)
    urgent = await core.submit(person, priority=1)
    expected = {urgent.id: 1, mine.id: 2, second.id: 5}
    assert await positions(core, person) == expected
    for job_id, place in expected.items():
        assert (await core.jobs.get(person, job_id)).position == place
    assert (await core.claim(holder)).id == urgent.id
    assert await positions(core, person) == {urgent.id: None, mine.id: 1, second.id: 4}


async def test_the_positions_of_a_page_are_those_of_its_jobs_one_by_one(core: Core, person: Person) -> None:
    others = [await core.person() for _ in range(3)]
    for n in range(40):
        await core.submit(others[n % 3], size=100 * (1 + n * 7 % 13), priority=-(n % 3))
        await core.submit(person, size=100 * (1 + n * 5 % 11), priority=-(n % 4))
    page = await positions(core, person)
    assert len(page) == 40
    assert page == {job_id: (await core.jobs.get(person, job_id)).position for job_id in page}


def test_a_job_costs_its_length_when_that_is_known_and_else_its_size() -> None:
    assert cost(5_000, None) == 5_000
    assert cost(5_000, 10 * MINUTE) == 2 * cost(9, 5 * MINUTE)


async def submit_at_once(core: Core, person: Person, count: int, *, size: int = 1000) -> None:
    """Submit through the server's own function, in one transaction: ten thousand commits would take long."""

    async def work(transaction: Transaction) -> None:
        for _ in range(count):
            recording = Recording(new_id(), "talk.wav", "audio/wav", size, "0" * 64)
            await core.jobs._insert(transaction, person, recording, JobSettings(), None)

    with pytest.MonkeyPatch.context() as patch:
        # Nobody reads the answers, and their places in the queue would be counted ten thousand times.
        patch.setattr(service, "positions", no_positions)
        await core.database.transaction(work)


async def no_positions(*_: object) -> dict[str, int]:
    return {}


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(("runners", "glutton_size", "size"), [(1, 1000, 1000), (4, 1, 10**9), (4, 10**9, 1)])
async def test_nobody_waits_for_more_jobs_of_others_than_there_are_users_and_runners(
    core: Core, runners: int, glutton_size: int, size: int
) -> None:
    count = 10_000 if runners == 1 else 500
    glutton = await core.person()
    await submit_at_once(core, glutton, count, size=glutton_size)
    holders = [await core.holder(f"gpu-{n}") for n in range(runners)]
    busy = [(holder, await core.claim(holder)) for holder in holders]
    for _ in range(30):
        holder, held = busy.pop(0)
        await core.finish(holder, held)
        busy.append((holder, await core.claim(holder)))
    users = [await core.person() for _ in range(10)]
    waiting = {(await core.submit(user, size=size)).id for user in users}
    others = 0
    while waiting:
        holder, held = busy.pop(0)
        await core.finish(holder, held)
        job = await core.claim(holder)
        busy.append((holder, job))
        if job.id in waiting:
            waiting.remove(job.id)
        others += 1
        assert others <= len(users) + 1 + runners


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_within_a_priority_nobody_starves_however_much_the_others_bring(core: Core) -> None:
    """Five users who never stop, each with jobs of another size: all get about the same amount of audio."""
    holder = await core.holder()
    sizes = {(await core.person()): size for size in (1_000, 2_000, 5_000, 10_000, 20_000)}
    for person, size in sizes.items():
        await submit_at_once(core, person, 2 * 200_000 // size, size=size)
    owners = {person.id: size for person, size in sizes.items()}
    served: Counter[str] = Counter()
    for _ in range(200):
        held = await core.claim(holder)
        row = await core.row(held.id)
        served[str(row["owner_id"])] += owners[str(row["owner_id"])]
        await core.finish(holder, held)
    # Start-time fair queueing: two who are never idle differ by no more than one job of each.
    assert max(served.values()) - min(served.values()) <= 2 * max(owners.values())


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_higher_priority_is_served_first_whoever_has_waited(core: Core, holder: Holder) -> None:
    person, admin = await core.person(), await core.person()
    low = await submit_many(core, person, 3, priority=-10)
    plain = await submit_many(core, person, 3)
    high = await submit_many(core, admin, 3, priority=10)
    served = await serve_all(core, holder)
    assert served == [job.id for jobs in (high, plain, low) for job in jobs]
