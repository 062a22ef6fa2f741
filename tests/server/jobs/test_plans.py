"""The statements that run often find their rows through the index made for them, whatever the table has kept."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from projectw_server.db import Row, Statements
from projectw_server.metrics.census import CensusTaker
from tests.server.core import Core, appending, beat

pytestmark = pytest.mark.parametrize("kind", ["sqlite"])


@dataclass
class Recorder:
    """Every statement that ran, and how SQLite goes about it."""

    ran: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    async def plans(self, statements: Statements, table: str) -> list[str]:
        """Return the steps that touch ``table`` of all statements since the last call; those that sort too."""
        ran, self.ran = self.ran, []
        steps = []
        for sql, values in ran:
            if re.match(r"\s*(SELECT|UPDATE|DELETE|INSERT)", sql):
                plan = await statements.rows(f"EXPLAIN QUERY PLAN {sql}", *values)
                steps += [row["detail"] for row in plan]
        self.ran.clear()
        wanted = re.compile(rf"\b({table})\b|TEMP B-TREE")
        return [step for step in steps if wanted.search(step)]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder()
    plain = Statements.rows

    async def rows(self: Statements, sql: str, *values: Any) -> list[Row]:
        recorder.ran.append((sql, values))
        return await plain(self, sql, *values)

    monkeypatch.setattr(Statements, "rows", rows)
    return recorder


@pytest.fixture
async def core(core: Core) -> Core:
    """A queue, and as many jobs that are over."""
    person = await core.person()
    holder = await core.holder("earlier")
    for _ in range(5):
        await core.submit(person)
        await core.finish(holder, await core.claim(holder))
        await core.submit(await core.person(), priority=-1)
    return core


def uses(steps: list[str], index: str) -> bool:
    return any(f"INDEX {index}" in step for step in steps)


def assert_no_scan(steps: list[str]) -> None:
    """No step reads a table from end to end, nor sorts what it has read."""
    assert steps
    walks = [step for step in steps if step.startswith("SCAN") and "USING" not in step]
    assert not walks, walks
    assert not [step for step in steps if "TEMP B-TREE FOR ORDER BY" in step], steps


async def test_a_claim_takes_the_first_entry_of_the_index_of_the_queue(
    core: Core, recorder: Recorder
) -> None:
    holder = await core.holder()
    recorder.ran.clear()
    held = await core.claim(holder)
    steps = await recorder.plans(core.database, "jobs|held")
    # The first of each need is looked up in the index; what is sorted are those few.
    assert uses(steps, "jobs_offered")
    touched = [step for step in steps if "TEMP B-TREE" not in step]
    assert not [step for step in touched if not step.startswith("SEARCH")]
    await core.finish(holder, held)


async def test_a_submission_finds_its_place_without_reading_its_owners_other_jobs(
    core: Core, recorder: Recorder
) -> None:
    person = await core.person()
    recorder.ran.clear()
    await core.submit(person)
    steps = await recorder.plans(core.database, "jobs")
    assert_no_scan(steps)
    assert uses(steps, "jobs_shares")
    # Its place in the queue is counted in the index alone.
    assert uses(steps, "jobs_queue")


async def test_a_heartbeat_a_result_and_the_sweep_look_at_held_jobs_only(
    core: Core, recorder: Recorder
) -> None:
    holder = await core.holder()
    held = await core.claim(holder)
    recorder.ran.clear()
    await core.leases.held_by(holder)
    await core.leases.expire()
    steps = await recorder.plans(core.database, "jobs")
    assert_no_scan(steps)
    assert uses(steps, "jobs_one_each") or uses(steps, "jobs_held")

    await core.leases.beat(holder, appending(held, 0, 2))
    await core.leases.beat(holder, beat(held, 0.5))
    await core.finish(holder, held, 2)
    assert_no_scan(await recorder.plans(core.database, "jobs|segments|deliveries"))


async def test_a_scrape_counts_in_indexes_and_reads_no_job(core: Core, recorder: Recorder) -> None:
    recorder.ran.clear()
    await CensusTaker(core.database, core.jobs, core.fleet, core.clock).take()
    steps = await recorder.plans(core.database, "jobs")
    assert_no_scan(steps)
    assert uses(steps, "jobs_waiting")
    assert not [step for step in steps if step == "SCAN jobs"]


async def test_a_page_of_the_list_and_the_feed_read_their_owners_jobs_only(
    core: Core, recorder: Recorder
) -> None:
    person = await core.person()
    for _ in range(3):
        await core.submit(person)
    recorder.ran.clear()
    first = await core.jobs.page(person, states=[], text=None, limit=2, cursor=None)
    await core.jobs.page(person, states=[], text=None, limit=2, cursor=first.next_cursor)
    steps = [step for step in await recorder.plans(core.database, "jobs") if "jobs_queue" not in step]
    assert_no_scan(steps)
    assert uses(steps, "jobs_of_owner")

    async for event in core.feed.stream(person.id, "0"):
        if event.name == "job":
            break
    steps = await recorder.plans(core.database, "jobs")
    assert uses(steps, "jobs_changes")
    assert not [step for step in steps if step == "SCAN jobs"]
