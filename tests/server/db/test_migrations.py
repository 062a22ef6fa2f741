"""What was there before a migration means afterwards what it would mean if it came today."""

from importlib import import_module

import pytest

from projectw_server.accounts.principals import Person
from projectw_server.jobs.needs import need_of
from projectw_shared.jobs import MODELS, JobSettings
from tests.server.core import Core

HOSTILE = 'so {"model":"tiny","language":"de","task":"translate", he said'


@pytest.fixture
async def person(core: Core) -> Person:
    return await core.person()


@pytest.mark.parametrize(
    "wish",
    [
        *(JobSettings(model=name) for name in MODELS),
        JobSettings(),
        JobSettings(language="en"),
        JobSettings(language="de"),
        JobSettings(language="yue"),
        JobSettings(task="translate"),
        JobSettings(task="translate", language="de"),
        JobSettings(model="medium", task="translate", language="de"),
        JobSettings(initial_prompt=HOSTILE),
    ],
    ids=need_of,
)
async def test_a_job_of_before_needs_what_one_of_today_would(
    core: Core, person: Person, wish: JobSettings
) -> None:
    job = await core.submit(person, settings=wish)
    await core.database.rows("UPDATE jobs SET needs = '*'")
    for statement in import_module("projectw_server.db.migrations.0004_many_servers").NEEDS:
        await core.database.rows(statement)
    assert (await core.row(job.id))["needs"] == need_of(wish)
